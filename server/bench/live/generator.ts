import { LoadSocket, type Script } from './load-socket.ts'
import { sharedClockMs } from './processes.ts'

/*
 * The clients of a benchmark, as a process of their own, which is told by messages what to do and answers each of them.
 */

export type Order =
  | { id: number; order: 'open'; scripts: readonly Script[]; atOnce: number; retries: boolean; probeEvery: number }
  | { id: number; order: 'reach'; events: number; silenceMs: number }
  | { id: number; order: 'record' }
  | { id: number; order: 'recorded' }
  | { id: number; order: 'state' }
  | { id: number; order: 'close' }

export type GeneratorState = {
  /** Events that have come so far, over all sockets. */
  events: number
  /** Bytes of the newest. */
  bytes: number
  /** Sockets that were lost and opened anew. */
  retried: number
  /** Processor time that this process has used so far. */
  cpuSeconds: number
}

/** Which events the probes got, by their numbers, and when. */
export type Recorded = { numbers: Float64Array; times: Float64Array }

export type Answer = { id: number; error: string } | { id: number; result: unknown }

/** One address of this machine has some 28,000 ports to connect from; those after it go on where it ends. */
const socketsPerAddress = 20_000
/** As graphql-ws waits before its first retry: a second and a random part of up to three. Milliseconds. */
const retryWaitMs = () => 1_000 + 300 + Math.random() * 2_700

const sockets = new Set<LoadSocket>()
let made = 0
let events = 0
let bytes = 0
let retried = 0
let failure: string | null = null
let wanted = Infinity
let reached = () => {}
let failed = () => {}
let numbers: number[] = []
let times: number[] = []
let isRecording = false

function fail(why: string): void {
  failure ??= why
  failed()
}

function onEvent(size: number): void {
  bytes = size
  if (++events >= wanted) {
    wanted = Infinity
    reached()
  }
}

function onNumber(number: number): void {
  if (!isRecording) return
  numbers.push(number)
  times.push(sharedClockMs())
}

/** Resolves when a socket has said all it has to say. */
function openOne(script: Script, isProbe: boolean, retries: boolean): Promise<void> {
  return new Promise((resolve) => {
    const nth = Math.floor(made++ / socketsPerAddress)
    const start = (cursor = script.cursor) => {
      const from = nth === 0 ? undefined : `127.0.0.${nth + 1}`
      const socket = new LoadSocket({ ...script, cursor }, isProbe, from, {
        opened: resolve,
        event: onEvent,
        number: onNumber,
        lost(why) {
          sockets.delete(socket)
          if (!retries) {
            fail(why)
            return resolve()
          }
          retried++
          setTimeout(() => start(socket.cursor), retryWaitMs())
        },
      })
      sockets.add(socket)
    }
    start()
  })
}

async function open(scripts: readonly Script[], atOnce: number, retries: boolean, probeEvery: number): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < scripts.length && failure === null) {
      const nth = next++
      await openOne(scripts[nth]!, nth % probeEvery === 0, retries)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, scripts.length) }, lane))
  if (failure !== null) throw new Error(failure)
}

/** Resolves when so many events have come in all; throws when for `silenceMs` none came, or a socket was lost. */
async function reach(count: number, silenceMs: number): Promise<void> {
  if (failure !== null) throw new Error(failure)
  if (events >= count) return
  let before = events
  let watch: NodeJS.Timeout | undefined
  await new Promise<void>((resolve, reject) => {
    wanted = count
    reached = resolve
    failed = () => reject(new Error(failure!))
    watch = setInterval(() => {
      if (events === before) reject(new Error(`${events} of ${count} events came`))
      before = events
    }, silenceMs)
  }).finally(() => {
    clearInterval(watch)
    wanted = Infinity
    failed = () => {}
  })
}

function closeAll(): void {
  for (const socket of sockets) socket.close()
  sockets.clear()
  made = 0
  retried = 0
  failure = null
}

function state(): GeneratorState {
  const { user, system } = process.cpuUsage()
  return { events, bytes, retried, cpuSeconds: (user + system) / 1e6 }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.order) {
    case 'open':
      return open(order.scripts, order.atOnce, order.retries, order.probeEvery)
    case 'reach':
      return reach(order.events, order.silenceMs)
    case 'record':
      numbers = []
      times = []
      isRecording = true
      return
    case 'recorded':
      isRecording = false
      return { numbers: Float64Array.from(numbers), times: Float64Array.from(times) } satisfies Recorded
    case 'state':
      return state()
    case 'close':
      return closeAll()
  }
}

process.on('message', (order: Order) => {
  obey(order).then(
    (result) => process.send!({ id: order.id, result } satisfies Answer),
    (error: Error) => process.send!({ id: order.id, error: error.message } satisfies Answer),
  )
})
process.on('disconnect', () => process.exit())
