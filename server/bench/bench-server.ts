import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createPoster, runOperation } from './live/post.ts'
import { startProgram } from './live/processes.ts'

/** A server in a process of its own, on an embedded database of its own, as `npm start` would run it. */
export type BenchServer = {
  /** Runs one operation on a connection that is kept; throws the first error of the answer. */
  run<Data>(query: string, variables?: object, token?: string): Promise<Data>
  url: string
  /** Where its Postgres is. */
  databaseUrl: string
  pid: number
  stop(): Promise<void>
}

export type BenchServerOptions = {
  /** A store that is there, for replicas to share; one of its own where it is left out. */
  databaseUrl?: string
  /** Settings, beside those of this process. */
  env?: Record<string, string>
  /** Flags of Node, beside those in BENCH_NODE_FLAGS. */
  nodeFlags?: readonly string[]
  /** Whether it has the core of the servers to itself; otherwise it runs wherever this process does. */
  isPinned?: boolean
}

const flagsGiven = process.env.BENCH_NODE_FLAGS?.split(' ').filter(Boolean) ?? []

/** Starts a server; resolves when it is ready. */
export async function startBenchServer(options: BenchServerOptions = {}): Promise<BenchServer> {
  const { databaseUrl, env, nodeFlags = [], isPinned = false } = options
  const dataDir = await mkdtemp(join(tmpdir(), 'maru-bench-'))
  const main = fileURLToPath(new URL('../main.ts', import.meta.url))
  const args = [...flagsGiven, ...nodeFlags, main]
  const server = startProgram(process.execPath, args, {
    place: isPinned ? 'server' : null,
    env: {
      ...process.env,
      DATA_DIR: dataDir,
      PORT: '0',
      LOG_FORMAT: 'json',
      LOG_LEVEL: 'info',
      RATE_LIMITS: 'off',
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl, JWT_SECRET: 'the same for all replicas of a run' }),
      ...env,
    },
  })
  const port = await readPort(server.child)
  const poster = createPoster(port)
  return {
    url: `http://127.0.0.1:${port}/graphql`,
    databaseUrl: databaseUrl ?? (await readFile(join(dataDir, 'postgres.url'), 'utf8')).trim(),
    pid: server.pid,
    run: (query, variables, token) => runOperation(poster, query, variables, token),
    async stop() {
      poster.close()
      await server.end('SIGTERM')
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** Reads lines of JSON until one has the port that a program listens on; throws where it ends before. */
export async function readPort(server: ChildProcess): Promise<number> {
  const lines = createInterface({ input: server.stdout! })
  for await (const line of lines) {
    const { port } = JSON.parse(line) as { port?: number }
    if (port !== undefined) {
      // Whatever else it logs is read and dropped, so that it never waits for this process.
      lines.on('line', () => {})
      server.stdout!.resume()
      return port
    }
  }
  throw new Error('The server did not start')
}
