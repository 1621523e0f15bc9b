import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { onTestFinished } from 'vitest'

const main = fileURLToPath(new URL('../main.ts', import.meta.url))

/** What became of an import: its exit code (null where it was killed) and all that it said. */
export type ImportRun = { code: number | null; stdout: string; stderr: string }

/** An import under way, in a process of its own. */
export type RunningImport = { kill(signal: NodeJS.Signals): void; done: Promise<ImportRun> }

/** Starts `npm run import -- …` with these settings. */
export function spawnImport(env: Record<string, string>, ...args: string[]): RunningImport {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return {
    kill: (signal) => void child.kill(signal),
    done: once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr })),
  }
}

/** Starts an import into a database. */
export const startImport = (databaseUrl: string, ...args: string[]): RunningImport =>
  spawnImport({ DATABASE_URL: databaseUrl, JWT_SECRET: 'the same for all replicas of a test' }, ...args)

/** Runs an import into a database to its end. */
export const runImport = (databaseUrl: string, ...args: string[]): Promise<ImportRun> =>
  startImport(databaseUrl, ...args).done

/** A line of a log; what is left out is filled in. */
export type Line = { channel?: string; author?: string; time?: string | number; text?: string; [more: string]: unknown }

/** Lines of the documented form, a second apart unless they say when. */
export const lines = (...said: Line[]): string =>
  said
    .map((line, place) => {
      const time = Date.UTC(2020, 0, 1) + place * 1_000
      return { channel: 'tea', author: 'alice', time, text: 'hm', ...line }
    })
    .map((line) => `${JSON.stringify(line)}\n`)
    .join('')

/** Writes a log to a file of its own, which is gone after the test; gzipped where its name says so. */
export async function writeLog(text: string, name = 'log.jsonl'): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'maru-import-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, name)
  await writeFile(file, name.endsWith('.gz') ? gzipSync(text) : text)
  return file
}
