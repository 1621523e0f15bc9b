import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { createRandom } from '../../testing/random.ts'
import { layWire, type Wire } from './wire.ts'

/** A notice that a provider has taken. */
export type Delivered = {
  token: string
  kind: string
  /** As it came over the wire: what each platform makes of it. */
  collapseId: string
  title: string
  body: string
  badge: number | null
  data: Record<string, string>
  /** Milliseconds since 1970. */
  at: number
  /** All of the payload. */
  payload: Record<string, any>
  headers: Record<string, string>
}

/**
 * What a provider does with a request instead of taking it. `later`: 503 with Retry-After. `throttled`: 429 with
 * Retry-After. `dead`, `refused`: as it says that of a token and of a notice. `cut`: breaks off without having taken
 * it. `lost`: takes it, and breaks off before it says so. `held`: takes it, and never says so. `unseen`: says, where
 * HTTP/2 has a way to, that it has not looked at it; else `cut`.
 */
export type Trouble = 'later' | 'throttled' | 'dead' | 'refused' | 'cut' | 'lost' | 'held' | 'unseen' | Said

/** An answer in the provider's own words. `about` is the member at fault, where it says which. */
export type Said = { status: number; reason?: string; about?: string; headers?: Record<string, string> }

/**
 * A service that carries notices, on this machine: it speaks the protocol, and takes nothing that it would not take.
 */
export type Provider = {
  url: string
  /** To be trusted by clients, PEM; null where it speaks without TLS. Also fit for NODE_EXTRA_CA_CERTS. */
  ca: string | null
  /** What it has taken, in order. */
  log: Delivered[]
  /** What was wrong with requests, in words: empty as long as everybody keeps to the protocol. */
  complaints: string[]
  /** Requests that came, taken or not. */
  requests(): number
  /** The next requests end so, one each. */
  next(...troubles: Trouble[]): void
  /** From now on each request ends so with this probability, by the same dice for the same seed; 0 for no more. */
  failShare(share: number, seed: number, troubles?: Trouble[]): void
  /** Tokens that are dead from now on. */
  kill(...tokens: string[]): void
  wire: Wire
  stop(): Promise<void>
}

/** What a provider's server keeps. */
export type Ledger = Pick<Provider, 'log' | 'complaints' | 'requests' | 'next' | 'failShare' | 'kill'> & {
  /** A request came for this token: what is to go wrong with it. */
  trouble(token: string): Trouble | null
  take(notice: Omit<Delivered, 'at'>): void
  complain(what: string): void
}

export function createLedger(): Ledger {
  const log: Delivered[] = []
  const complaints: string[] = []
  const scripted: Trouble[] = []
  const dead = new Set<string>()
  let requests = 0
  let dice = () => null as Trouble | null
  return {
    log,
    complaints,
    requests: () => requests,
    next: (...troubles) => void scripted.push(...troubles),
    failShare(share, seed, troubles = ['later', 'throttled', 'cut']) {
      const random = createRandom(seed)
      dice = () => (random.chance(share) ? random.pick(troubles) : null)
    },
    kill: (...tokens) => tokens.forEach((token) => dead.add(token)),
    trouble(token) {
      requests++
      if (dead.has(token)) return 'dead'
      return scripted.shift() ?? dice()
    },
    take: (notice) => void log.push({ ...notice, at: Date.now() }),
    complain: (what) => void complaints.push(what),
  }
}

/** Puts a server on a port of this machine, behind a wire. */
export async function serveBehindWire(server: Server): Promise<{ wire: Wire; stop(): Promise<void> }> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const wire = await layWire((server.address() as AddressInfo).port)
  return {
    wire,
    async stop() {
      await wire.stop()
      server.close()
    },
  }
}

/** The headers of a request, each a string. */
export const plainHeaders = (headers: NodeJS.Dict<string | string[]>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))

/** Seconds that all of them ask to wait: long enough to be told from a default. */
export const retryAfterSeconds = 7
