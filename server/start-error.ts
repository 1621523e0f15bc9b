import { expectedFailure } from './errors.ts'

/** Why a process cannot start, in words that say to whoever starts it what to do. The stack is of no interest. */
export class StartError extends Error {
  override readonly name = 'StartError'
}

/** What stops Postgres from letting us in, by its code. */
const refusals: Record<string, string> = {
  '28000': 'Check the user in DATABASE_URL, and whether the server takes connections from here.',
  '28P01': 'Check user and password in DATABASE_URL.',
  '3D000': 'Make that database, or name another in DATABASE_URL.',
  '3F000': 'Make that schema, or name another in DATABASE_URL.',
  '42501': 'The user in DATABASE_URL must own the database, or may at least create tables in its schema.',
}

/** What it means to an operator that the store could not be opened. Faults of our own come back as they are. */
export function explainStoreFailure(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const expected = expectedFailure(error)
  if (expected?.code === 'UNAVAILABLE') {
    const reason = expected.cause instanceof Error ? expected.cause.message : 'no answer'
    return new StartError(`The database cannot be reached: ${reason}. Start it, or mend DATABASE_URL.`, { cause: error })
  }
  const remedy = 'code' in error ? refusals[String(error.code)] : undefined
  if (remedy !== undefined) return new StartError(`The database refuses: ${error.message}. ${remedy}`, { cause: error })
  // Checks of the folder, the embedded Postgres and the database's version throw plain errors, written to be read.
  return error.constructor === Error && !('code' in error) ? new StartError(error.message, { cause: error }) : error
}

/** What it means to an operator that the server could not listen. */
export function explainListenFailure(error: unknown, { host, port }: { host: string; port: number }): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const message =
    code === 'EADDRINUSE'
      ? `Port ${port} is taken by another program. Stop that one, or start with another port: PORT=${port + 1}.`
      : code === 'EACCES'
        ? `This user may not listen on port ${port}. Take one from 1024 upwards: PORT=4000.`
        : code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND'
          ? `HOST is ${host}, which is no address of this machine. Leave it out, or set HOST=:: for all of its addresses.`
          : null
  return message === null ? error : new StartError(message, { cause: error })
}
