import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, openDatabase } from '../../../drizzle/connection.ts'
import { expectedFailure, unavailable } from '../../errors.ts'
import { createSendBatcher, type SendBatcher } from '../../message-store/batcher.ts'
import { createSnowflakes } from '../../message-store/snowflake.ts'
import { leaseWorker, type WorkerLease } from '../../message-store/worker-lease.ts'
import type { Random } from '../random.ts'
import type { History } from './history.ts'
import { readRights } from './state.ts'

const minuteMs = 60_000
const yearMs = 365 * 24 * 60 * minuteMs

/** How long clients wait for the store, in milliseconds. */
export type Patience = { deadlineMs: number }

/** What a process of ours has of the store: connections, a worker number, a clock, a batcher. */
export type Client = {
  name: string
  database(): Database
  sends(): SendBatcher
  /** Its number; null where it has no lease just now, since no renewal got through. */
  worker(): number | null
  /** The membership version at which this client believes that somebody may post; null where they may not. */
  rights(channelId: string, userId: string): Promise<number | null>
  /** What it believed was wrong. */
  forgetRights(channelId: string, userId: string): void
  /** Puts its clock back or forward; a `leap` is a year ahead. */
  jump(how: 'anywhere' | 'leap'): void
  /** Ends it as a process ends that is told to, and starts another in its place. */
  restart(): Promise<void>
  close(): Promise<void>
}

type Session = { database: Database; lease: WorkerLease; sends: SendBatcher; rights: Map<string, number> }

/** Whether the store was away, and it may be tried again. */
export const isUnavailable = (error: unknown): boolean => expectedFailure(error)?.code === 'UNAVAILABLE'

/** Tries until the store answers. */
export async function insist<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (!isUnavailable(error)) throw error
      await sleep(50)
    }
  }
}

/** Starts a client whose clock is wrong by `skewMs`. */
export async function startClient(options: {
  name: string
  url: string
  skewMs: number
  patience: Patience
  history: History
  random: Random
}): Promise<Client> {
  const { name, url, patience, history, random } = options
  let { skewMs } = options
  let session = await open()

  async function open(): Promise<Session> {
    const database = openDatabase({ url, poolSize: 6, deadlineMs: patience.deadlineMs, unavailable })
    const onError = (error: unknown) => {
      if (!isUnavailable(error)) history.breakOff(error)
    }
    const lease = await insist(() => leaseWorker(database, onError), history.over)
    const sends = createSendBatcher({
      database,
      snowflakes: createSnowflakes(lease.worker, () => Date.now() + skewMs),
      maxWaitMs: patience.deadlineMs,
      onBatch: (size) => history.count(size > 1 ? 'batches of several' : 'batches of one'),
      announce(changes) {
        const channel = history.channel(changes[0]!.channelId)
        for (const change of changes) channel.hear(change, `who sent it, ${name}`)
        channel.acknowledge(changes)
      },
    })
    return { database, lease, sends, rights: new Map() }
  }

  async function close() {
    const { database, lease, sends } = session
    await sends.drain()
    await lease.release().catch((error: unknown) => {
      if (!isUnavailable(error)) throw error
    })
    await database.close()
  }

  return {
    name,
    database: () => session.database,
    sends: () => session.sends,
    worker: () => (session.lease.isHeld() ? session.lease.worker() : null),
    async rights(channelId, userId) {
      const { database, rights } = session
      const key = `${channelId} ${userId}`
      const remembered = rights.get(key)
      if (remembered !== undefined) return remembered
      const version = await readRights(database, channelId, userId)
      if (version !== null) rights.set(key, version)
      return version
    },
    forgetRights: (channelId, userId) => void session.rights.delete(`${channelId} ${userId}`),
    jump(how) {
      skewMs = how === 'leap' ? yearMs : Math.round((random.next() - 0.5) * 20 * minuteMs)
    },
    async restart() {
      const before = close()
      session = await open()
      await before
    },
    close,
  }
}
