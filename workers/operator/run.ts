import type { Database } from '../../drizzle/connection.ts'
import { ConfigError } from '../../server/config.ts'
import { MaruError } from '../../server/errors.ts'
import { UsageError } from '../../server/lib/usage-error.ts'
import { StartError } from '../../server/start-error.ts'
import { openRunningStore } from './running-store.ts'

/** What the process exits with. */
const exit = { failed: 1, usage: 2 }

/**
 * Runs a command on the store of a running deployment, and says what it returns. `help` is said where `--help` is among
 * the arguments, or nothing is.
 */
export async function runCommand(
  help: string,
  command: (args: string[], open: () => Promise<Database>) => Promise<string>,
): Promise<void> {
  const args = process.argv.slice(2)
  if (args.length === 0 || args.includes('--help') || args.includes('-h')) {
    process.stdout.write(help)
    return
  }
  let database: Database | null = null
  try {
    const said = await command(args, async () => (database ??= await openRunningStore(process.env)))
    process.stdout.write(said.endsWith('\n') ? said : `${said}\n`)
  } catch (error) {
    const isExpected = [UsageError, StartError, ConfigError, MaruError].some((kind) => error instanceof kind)
    process.stderr.write(`${isExpected ? (error as Error).message : (error as Error).stack}\n`)
    process.exitCode = error instanceof UsageError ? exit.usage : exit.failed
  } finally {
    await (database as Database | null)?.close()
  }
}

/** Rows under a head, in columns as wide as what is in them; Korean letters take two places. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, nth) => Math.max(...[head, ...rows].map((row) => widthOf(row[nth]!))))
  const line = (row: readonly string[]) =>
    row.map((cell, nth) => cell + ' '.repeat(widths[nth]! - widthOf(cell))).join('  ').trimEnd()
  return [head, ...rows].map(line).join('\n')
}

const widthOf = (text: string) => [...text].reduce((sum, letter) => sum + (/[ᄀ-ᅟ⺀-꓏가-힣豈-﫿＀-｠]/.test(letter) ? 2 : 1), 0)
