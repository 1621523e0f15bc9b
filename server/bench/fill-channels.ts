import { termOfChannel } from '../lib/search-terms.ts'
import type { Random } from '../testing/random.ts'
import { zipf } from './sentences.ts'

/** A message that may still be touched. */
export type Remembered = {
  id: string
  author: number
  seq: number
  /** The newest of its changes. */
  change: number
  /** What that was; empty as long as nothing happened to it. */
  kind: string
  replies: number
  reactions: number
  followers: number[]
  pinnedAt: string | null
}

export type FillChannel = {
  id: number
  /** The term of all of its messages. */
  term: number
  seq: number
  change: number
  bucket: number
  lastId: string
  /** The newest messages, in a ring: what people still talk about. */
  recent: Remembered[]
  /** When something is said in it, as shares of the whole time. */
  from: number
  to: number
}

const ringSize = 16

/** Channels whose nth size goes with 1 / n to the power of this. */
const skew = 0.9

/** The largest channels live all the time; of the others each has its time, and a half sleeps in the end. */
const alwaysAwake = 100

export type FillChannels = ReturnType<typeof createFillChannels>

/** The channels of a store that is being filled. `onTouched` gets each message that was touched, when all is over. */
export function createFillChannels(
  random: Random,
  count: number,
  onTouched: (channel: FillChannel, message: Remembered) => void,
) {
  const all = Array.from({ length: count }, (_, nth): FillChannel => {
    const from = nth < alwaysAwake ? 0 : random.next() * 0.7
    const to = nth < alwaysAwake || random.chance(0.5) ? 1 : from + random.next() * (0.9 - from)
    const id = nth + 1
    return { id, term: termOfChannel(String(id)), seq: 0, change: 0, bucket: -1, lastId: '0', recent: [], from, to }
  })
  const pickAny = zipf(random, count, skew)
  const settle = (channel: FillChannel, message: Remembered | undefined) => {
    if (message !== undefined && message.kind !== '') onTouched(channel, message)
  }
  return {
    all,
    /** A channel in which something is said at a moment, given as its share of the whole time. */
    pick(moment: number): FillChannel {
      for (;;) {
        const channel = all[pickAny()]!
        if (channel.from <= moment && moment <= channel.to) return channel
      }
    },
    /** Adds a channel's newest message, whose seq and change it gives out. */
    add(channel: FillChannel, id: string, author: number): Remembered {
      const message: Remembered = {
        id,
        author,
        seq: ++channel.seq,
        change: ++channel.change,
        kind: '',
        replies: 0,
        reactions: 0,
        followers: [],
        pinnedAt: null,
      }
      const place = message.seq % ringSize
      settle(channel, channel.recent[place])
      channel.recent[place] = message
      channel.lastId = id
      return message
    },
    /** One of the newest messages, or the newest. */
    recent: (channel: FillChannel): Remembered =>
      channel.recent[random.below(ringSize)] ?? channel.recent[channel.seq % ringSize]!,
    /** Something happens to a message. */
    touch(channel: FillChannel, message: Remembered, kind: string) {
      message.change = ++channel.change
      message.kind = kind
    },
    finish() {
      for (const channel of all) for (const message of channel.recent) settle(channel, message)
    },
  }
}
