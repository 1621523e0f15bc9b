import type { Load } from './load.ts'
import { markOf, type Script } from './load-socket.ts'

/** One of those that are compared: a server that tells everybody on one channel what is published there. */
export type Side = {
  name: string
  /** The processes whose work counts. */
  pids(): number[]
  /** What so many clients say to be told of everything on the channel. */
  scripts(sockets: number): Script[]
  /**
   * Publishes; resolves when that is acknowledged.
   *
   * @param lane Which of those that publish at the same time this is, from 0.
   */
  publish(content: string, lane: number): Promise<unknown>
  /** Has it let go of what it no longer uses, where it can be told to. */
  collectGarbage(): void
  stop(): Promise<void>
}

/** Flags of Node that let a process be told to collect garbage, by `collectGarbageOf`. */
export const garbageFlags = ['--expose-gc', '--import', new URL('./collect-garbage.ts', import.meta.url).href]

export function collectGarbageOf(pids: readonly number[]): void {
  for (const pid of pids) process.kill(pid, 'SIGUSR2')
}

/** Bytes of an event as a client gets it, WebSocket header apart, for all sides alike. */
export const eventBytes = 600

const prose = 'The quick brown fox jumps over the lazy dog, and then it goes home for tea. '

/** Publishes to one side, numbering what it publishes, with as much text that its events are `eventBytes` long. */
export type Publisher = {
  /** The number of the message, and when it was sent and acknowledged, by the shared clock. */
  publish(lane?: number): { number: number; acknowledged: Promise<unknown> }
  /** Waits until every socket is told of everything, and finds out how long the text must be. */
  prepare(load: Load, sockets: number): Promise<void>
}

/** How far off an event may be: numbers in it have now one digit more, now one less. */
const byteTolerance = 8
/** Attempts to reach all sockets before something must be wrong; each waits for some seconds. */
const attempts = 12
const patienceMs = 5_000

let numbered = 0

export function createPublisher(side: Side): Publisher {
  let length = 250

  function publish(lane = 0) {
    const number = numbered++
    const mark = markOf(number)
    const content = (mark + prose.repeat(Math.ceil(length / prose.length))).slice(0, Math.max(length, mark.length))
    return { number, acknowledged: side.publish(content, lane) }
  }

  return {
    publish,
    async prepare(load, sockets) {
      for (let attempt = 1; ; attempt++) {
        await load.settle()
        try {
          await Promise.all([load.events(sockets, patienceMs), publish().acknowledged])
        } catch (error) {
          // Some sockets may still be on their way; one that was lost is not.
          if (attempt === attempts || !(error as Error).message.endsWith('events came')) throw error
          continue
        }
        const { bytes } = await load.state()
        if (Math.abs(bytes - eventBytes) <= byteTolerance) return
        if (attempt === attempts) throw new Error(`The events of ${side.name} are ${bytes} bytes, not ${eventBytes}.`)
        length += eventBytes - bytes
      }
    },
  }
}
