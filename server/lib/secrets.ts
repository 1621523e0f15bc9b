import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

export type Secrets = Readonly<{ jwtSecret: string }>

/** 48 bytes are 64 characters of base64, without padding to lose in copying. */
const SECRET_BYTES = 48

/** What JWT_SECRET must have too. */
const SHORTEST = 32

/**
 * The secrets that were given, and for those that were not, ones that are made at the first start and kept in
 * `dataDir`, readable by their owner only. Processes that start at the same moment all get the same.
 */
export async function loadSecrets(dataDir: string, given: { jwtSecret: string | null }): Promise<Secrets> {
  return Object.freeze({ jwtSecret: given.jwtSecret ?? (await keptSecret(dataDir, 'jwt-secret')) })
}

/** The secret of this name that is kept in `dataDir`, made when it is first asked for. */
export async function keptSecret(dataDir: string, name: string): Promise<string> {
  const path = join(dataDir, name)
  const secret = (await readIfThere(path)) ?? (await makeSecret(dataDir, path))
  if (secret.length >= SHORTEST) return secret
  throw new Error(
    `${path} holds fewer than ${SHORTEST} characters, so it is no secret. Put the right one back from a backup, or ` +
      'delete the file to have a new one made; access tokens from before are then refused.',
  )
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null
    throw error
  }
}

/**
 * Writes a whole file beside `path` and links it there. A link is made at once and never over another file, so whoever
 * comes second finds the first one's secret, and nobody ever reads half of one.
 */
async function makeSecret(dataDir: string, path: string): Promise<string> {
  await mkdir(dataDir, { recursive: true })
  const draft = `${path}.${randomBytes(8).toString('hex')}`
  try {
    await writeDurably(draft, `${randomBytes(SECRET_BYTES).toString('base64')}\n`)
    await link(draft, path).catch((error: unknown) => {
      if (!isCode(error, 'EEXIST')) throw error
    })
  } finally {
    await rm(draft, { force: true })
  }
  return (await readFile(path, 'utf8')).trim()
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
