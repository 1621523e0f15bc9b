import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

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

/** Starts a server; resolves when it is ready. */
export async function startBenchServer(): Promise<BenchServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'maru-bench-'))
  const main = fileURLToPath(new URL('../main.ts', import.meta.url))
  const server = spawn(process.execPath, [...(process.env.BENCH_NODE_FLAGS?.split(' ') ?? []), main], {
    env: { ...process.env, DATA_DIR: dataDir, PORT: '0', LOG_FORMAT: 'json', LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const port = await readPort(server)
  const agent = new Agent({ keepAlive: true, maxSockets: 1_000 })

  function post(body: string, token: string | undefined): Promise<string> {
    return new Promise((resolve, reject) => {
      const headers = {
        'content-type': 'application/json',
        accept: 'application/json',
        'content-length': Buffer.byteLength(body),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      }
      const sent = request({ host: '127.0.0.1', port, path: '/graphql', method: 'POST', agent, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => resolve(text))
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  return {
    url: `http://127.0.0.1:${port}/graphql`,
    databaseUrl: (await readFile(join(dataDir, 'postgres.url'), 'utf8')).trim(),
    pid: server.pid!,
    async run<Data>(query: string, variables: object = {}, token?: string) {
      const answer = JSON.parse(await post(JSON.stringify({ query, variables }), token)) as {
        data: Data
        errors?: { message: string }[]
      }
      if (answer.errors !== undefined) throw new Error(answer.errors[0]!.message)
      return answer.data
    },
    async stop() {
      agent.destroy()
      server.kill('SIGTERM')
      await once(server, 'exit')
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function readPort(server: ChildProcess): Promise<number> {
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
