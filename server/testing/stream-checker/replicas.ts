import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { findFreePort } from '../redis-process.ts'
import { node, type ServerProcess, serverScript, startProcess } from '../server-process.ts'
import type { Chronicle } from './chronicle.ts'

/** One server process after the other at one address, as whatever keeps a service running starts them. */
export type Replica = {
  name: string
  /** Of the API. */
  url: string
  port: number
  /** Of the process that runs now; null where none does. */
  pid(): number | null
  isUp(): boolean
  /** Starts it until it is ready; again and again where it cannot be, unless it never could. */
  start(): Promise<void>
  /** Ends it, `SIGKILL` at once, and `SIGTERM` as it is drained. */
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>
  /** Stops it from running for so long. */
  freeze(ms: number): Promise<void>
  /** What its `/metrics` say, added up over all labels. */
  metrics(): Promise<Map<string, number>>
  /** Bytes of its heap that are in use after a full garbage collection, and of all its memory. */
  weigh(): Promise<{ heap: number; resident: number }>
}

/** A server that starts waits for its store, for as long as a Postgres takes to come back. Milliseconds. */
const readyMs = 60_000

/** After SIGTERM a server waits for `DRAIN_SECONDS`, and then for its store at most. Milliseconds. */
const goneMs = 30_000

/** Makes a replica, which is not started yet. */
export async function createReplica(name: string, env: Record<string, string>, chronicle: Chronicle): Promise<Replica> {
  const port = await findFreePort()
  const origin = `http://127.0.0.1:${port}`
  let child: ServerProcess | null = null
  let isUp = false
  let hasRun = false

  /** Nobody but us ends a replica. */
  async function guard(watched: ServerProcess) {
    const exit = await watched.exit
    if (child !== watched) return
    const was = isUp
    child = null
    isUp = false
    if (was && !chronicle.over.aborted) {
      chronicle.find('replica', name, `It has ended by itself, with ${exit}.`, [watched.output().slice(-4_000)])
      await start()
    }
  }

  async function start() {
    for (const since = performance.now(); ; ) {
      // Only warnings: everything that a process prints is kept.
      const flags = ['--inspect-port=127.0.0.1:0', serverScript, '--without-workers']
      const started = startProcess(node, flags, { ...env, PORT: String(port), LOG_LEVEL: 'warn' })
      child = started
      void guard(started)
      while (child === started && !chronicle.over.aborted) {
        if (await isReady()) {
          isUp = hasRun = true
          return chronicle.note(name, 'ready')
        }
        await sleep(50)
      }
      chronicle.over.throwIfAborted()
      // It could not start, as its store was away; whoever runs it tries again.
      chronicle.count('starts that failed')
      if (!hasRun || performance.now() - since > readyMs) throw new Error(`${name} does not start:\n${started.output()}`)
      await sleep(200)
    }
  }

  const isReady = () =>
    fetch(`${origin}/health/ready`, { signal: AbortSignal.timeout(1_000) }).then((answer) => answer.ok, () => false)

  async function end(signal: 'SIGKILL' | 'SIGTERM') {
    const ending = child
    if (ending === null) return
    child = null
    isUp = false
    const timer = setTimeout(() => {
      chronicle.find('replica', name, `It does not end within ${goneMs} ms.`, [ending.output().slice(-2_000)])
      process.kill(ending.pid, 'SIGKILL')
    }, goneMs)
    const exit = await ending.end(signal)
    clearTimeout(timer)
    if (signal === 'SIGTERM' && exit !== 0) chronicle.count(`drains that ended with ${exit}`)
  }

  return {
    name,
    url: `${origin}/graphql`,
    port,
    pid: () => child?.pid ?? null,
    isUp: () => isUp,
    start,
    end,
    async freeze(ms) {
      const { pid } = child!
      process.kill(pid, 'SIGSTOP')
      await sleep(ms)
      process.kill(pid, 'SIGCONT')
    },
    metrics: () => readMetrics(origin),
    async weigh() {
      await collectGarbage(child!)
      const metrics = await readMetrics(origin)
      const value = (key: string) => metrics.get(key) ?? 0
      return {
        heap: value('nodejs_heap_size_used_bytes') + value('nodejs_external_memory_bytes'),
        resident: value('process_resident_memory_bytes'),
      }
    },
  }
}

async function readMetrics(origin: string): Promise<Map<string, number>> {
  const text = await fetch(`${origin}/metrics`, { signal: AbortSignal.timeout(10_000) }).then((answer) => answer.text())
  const sums = new Map<string, number>()
  for (const [, key, value] of text.matchAll(/^(\w+)(?:\{.*\})? (\S+)/gm)) {
    sums.set(key!, (sums.get(key!) ?? 0) + Number(value))
  }
  return sums
}

/** Has a process collect its garbage: by its debugger, which SIGUSR1 opens. */
async function collectGarbage(child: ServerProcess): Promise<void> {
  const address = () => /Debugger listening on (ws:\S+)/.exec(child.output())?.[1]
  if (address() === undefined) process.kill(child.pid, 'SIGUSR1')
  for (let tries = 0; address() === undefined; tries++) {
    if (tries === 200) throw new Error('The debugger does not listen.')
    await sleep(20)
  }
  const socket = new WebSocket(address()!)
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject)
    // The second time it takes what the first has let go of.
    socket.on('open', () => [1, 2].forEach((id) => socket.send(JSON.stringify({ id, method: 'HeapProfiler.collectGarbage' }))))
    socket.on('message', (data) => (JSON.parse(String(data)) as { id?: number }).id === 2 && resolve())
  })
  socket.close()
}
