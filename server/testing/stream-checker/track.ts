import type { Trail } from './chronicle.ts'
import type { ChannelLedger, Thing } from './ledger.ts'

/** One device's view of one channel: what it was told since `base`, in order, and what it keeps of it. */
export type Track = {
  trail: Trail
  channel: ChannelLedger
  userId: string
  /** Whether it is told of messages alone, or of everything. */
  scope: 'messages' | 'everything'
  /** Whether the user may be put out of this channel. */
  isComer: boolean
  /** Nothing up to this change needs to be told. */
  base: number
  /** What was told, side by side: the change, when, of which thing, whether as CREATED, and on which connection. */
  changes: number[]
  times: number[]
  things: Thing[]
  asCreated: boolean[]
  connections: number[]
  /** The change after which each connection was to begin; undefined where that is not known. */
  begins: (number | undefined)[]
  /** What is kept, by the message's place: its version, and a print of what was selected. */
  versions: Map<number, number>
  prints: Map<number, number>
}

export function createTrack(given: Pick<Track, 'trail' | 'channel' | 'userId' | 'scope' | 'isComer' | 'base'>): Track {
  return {
    ...given,
    changes: [],
    times: [],
    things: [],
    asCreated: [],
    connections: [],
    begins: [],
    versions: new Map(),
    prints: new Map(),
  }
}

/** Where it stands. */
export const standing = (track: Track): number => track.changes.at(-1) ?? track.base

/** Notes what was told. */
export function tell(track: Track, change: number, at: number, thing: Thing, asCreated = false): void {
  track.changes.push(change)
  track.times.push(at)
  track.things.push(thing)
  track.asCreated.push(asCreated)
  track.connections.push(track.begins.length - 1)
}

/** Forgets what was told, once it has been verified. What is kept stays. */
export function prune(track: Track, base: number): void {
  track.base = Math.max(base, standing(track))
  for (const list of [track.changes, track.times, track.things, track.asCreated, track.connections]) list.length = 0
  // Whether a message is new to a connection that goes on cannot be told any more.
  track.begins.fill(undefined)
}
