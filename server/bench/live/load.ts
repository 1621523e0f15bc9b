import { fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Answer, GeneratorState, Order, Recorded } from './generator.ts'
import type { Script } from './load-socket.ts'

export type OpenOptions = {
  /** Sockets that are opened at the same time; 64 where it is left out. */
  atOnce?: number
  /** Whether a socket that is lost comes back, as clients do; otherwise it is a failure. */
  retries?: boolean
  /** One socket of so many tells when it got which event; of 20 where it is left out. */
  probeEvery?: number
}

/** The clients, in their own process. */
export type Load = {
  /** Opens a socket for each script. Resolves when all have said what they have to say; throws when one is refused. */
  open(scripts: readonly Script[], options?: OpenOptions): Promise<void>
  /**
   * Waits for so many more events than were waited for before. Throws when none comes for `silenceMs` (20 s where it is
   * left out), or when a socket is lost.
   */
  events(count: number, silenceMs?: number): Promise<void>
  /** Counts anew from what has come when nothing has come for a moment. */
  settle(): Promise<void>
  /** Runs something, and gives what the probes got meanwhile. */
  recording(work: () => Promise<void>): Promise<Recorded>
  state(): Promise<GeneratorState>
  pid: number
  /** Closes all sockets. */
  close(): Promise<void>
  stop(): void
}

const quietMs = 250

/** Starts the process of the clients, on the cores that this process has. */
export function startLoad(): Load {
  const child = fork(fileURLToPath(new URL('./generator.ts', import.meta.url)), { serialization: 'advanced' })
  const waiting = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>()
  let orders = 0
  let expected = 0
  child.on('message', (answer: Answer) => {
    const { resolve, reject } = waiting.get(answer.id)!
    waiting.delete(answer.id)
    if ('error' in answer) reject(new Error(answer.error))
    else resolve(answer.result as never)
  })
  child.on('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('The process of the clients has ended.'))
  })

  type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never
  function tell<Result = void>(order: WithoutId<Order>): Promise<Result> {
    const id = orders++
    return new Promise<Result>((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      child.send({ id, ...order })
    })
  }
  const state = () => tell<GeneratorState>({ order: 'state' })

  return {
    open: (scripts, { atOnce = 64, retries = false, probeEvery = 20 } = {}) =>
      tell({ order: 'open', scripts, atOnce, retries, probeEvery }),
    events(count, silenceMs = 20_000) {
      expected += count
      return tell({ order: 'reach', events: expected, silenceMs })
    },
    async settle() {
      for (let before = -1; before !== expected; await sleep(quietMs)) {
        before = expected
        expected = (await state()).events
      }
    },
    async recording(work) {
      await tell({ order: 'record' })
      await work()
      return tell<Recorded>({ order: 'recorded' })
    },
    state,
    pid: child.pid!,
    close: () => tell({ order: 'close' }),
    stop: () => child.disconnect(),
  }
}
