import { crc32 } from 'node:zlib'
import type { Chronicle } from './chronicle.ts'

/** What a change is of: the place of a message in `messages`, or a name. */
export type Thing = number | string

/** A few bits for a text. */
export const print = (text: string): number => crc32(text)

/** What was told when nothing could be missing: the newest state of everything in a channel. */
export type Final = {
  /** The channel's newest change. */
  change: number
  /** The newest of those that happened to messages. */
  messageChange: number
  /** The messages, by their places, as they were fetched. */
  messages: Map<number, any>
  /** Role by user id. */
  members: Map<string, string>
  name: string | null
  topic: string | null
}

export type Ledger = ReturnType<typeof createLedger>
export type ChannelLedger = ReturnType<typeof createChannelLedger>

/** All that anybody has learned of what happened, put side by side: two accounts of one change must agree. */
export function createLedger(chronicle: Chronicle) {
  const channels = new Map<string, ChannelLedger>()
  return {
    channels,
    channel(id: string): ChannelLedger {
      let channel = channels.get(id)
      if (channel === undefined) channels.set(id, (channel = createChannelLedger(id, chronicle)))
      return channel
    },
  }
}

function createChannelLedger(id: string, chronicle: Chronicle) {
  const places = new Map<string, number>()
  const messages: string[] = []
  const authors: (string | undefined)[] = []
  /** By change number. */
  const things: (Thing | undefined)[] = []
  const tellers: (string | undefined)[] = []
  /** No change of this number, nor of a greater one, can have been there before this moment. */
  const since: (number | undefined)[] = []
  /** What a message said after this change, and who was the first to be told so. */
  const prints: (number | undefined)[] = []
  const readers: (string | undefined)[] = []
  /** The change that created a message, by its place. */
  const created: (number | undefined)[] = []
  /** Who was let in or put out by a change. */
  const memberships = new Map<number, { userId: string; isIn: boolean }>()
  /** What was acknowledged: by key, which message it is. */
  const acknowledged = new Map<string, string>()

  function note(change: number, thing: Thing, who: string) {
    const known = things[change]
    if (known === undefined) {
      things[change] = thing
      tellers[change] = who
    } else if (known !== thing) {
      const both = { channel: id, change, known: spellThing(known), toldBy: tellers[change], now: spellThing(thing) }
      chronicle.find('agreement', who, `Change ${change} is two things.`, [both])
    }
  }

  const spellThing = (thing: Thing | undefined) =>
    typeof thing === 'number' ? { message: messages[thing], place: thing } : (thing ?? null)

  return {
    id,
    messages,
    authors,
    things,
    created,
    memberships,
    acknowledged,
    spellThing,
    final: null as Final | null,

    place(messageId: string): number {
      let place = places.get(messageId)
      if (place === undefined) {
        places.set(messageId, (place = messages.length))
        messages.push(messageId)
      }
      return place
    },

    /** Somebody has been told of a message, by the change of this number. */
    tellMessage(change: number, place: number, version: number, content: string, who: string) {
      note(change, place, who)
      if (version !== change) note(version, place, who)
      const said = print(content)
      const known = prints[version]
      if (known === undefined) {
        prints[version] = said
        readers[version] = who
      } else if (known !== said) {
        const evidence = { channel: id, content, toldOtherwise: readers[version] }
        chronicle.find('agreement', who, `After change ${version} a message says two things.`, [evidence])
      }
    },

    /** Somebody has been told that a member came, changed or went. */
    tellMember(change: number, userId: string, isIn: boolean, who: string) {
      note(change, `member ${userId}`, who)
      memberships.set(change, { userId, isIn })
    },

    tellInfo: (change: number, who: string) => note(change, 'info', who),

    /** A change that a request has made which was begun at `begun`. */
    made(change: number, place: number, begun: number) {
      note(change, place, 'whoever did it')
      since[change] = Math.min(since[change] ?? Infinity, begun)
    },

    /** For each number the moment before which no such change can have been: those before it tell, too. */
    earliest(): Float64Array {
      const moments = new Float64Array(things.length)
      let latest = 0
      for (let change = 0; change < things.length; change++) {
        latest = Math.max(latest, since[change] ?? 0)
        moments[change] = latest
      }
      return moments
    },

    /** For each number the next one of the same thing; 0 where there is none. */
    next(): Int32Array {
      const next = new Int32Array(things.length)
      const newest = new Map<Thing, number>()
      for (let change = things.length - 1; change > 0; change--) {
        const thing = things[change]
        if (thing === undefined) continue
        next[change] = newest.get(thing) ?? 0
        newest.set(thing, change)
      }
      return next
    },

    /** A send was acknowledged. */
    acknowledge(key: string, messageId: string) {
      const known = acknowledged.get(key)
      if (known !== undefined && known !== messageId) {
        chronicle.find('acknowledged', key, 'One key has given two messages.', [{ channel: id, known, messageId }])
      }
      acknowledged.set(key, messageId)
    },

    /**
     * When somebody was out of the channel: after the change `out` and up to the change `back`, which is Infinity where
     * they have not come back. From what the channel itself says of who comes and goes.
     */
    absences(userId: string): { out: number; back: number }[] {
      const moves: { change: number; isIn: boolean }[] = []
      for (const message of this.final?.messages.values() ?? []) {
        if (message.author.id !== userId) continue
        // Who goes is out with the change before it is said, and who comes is in with the one after.
        if (message.kind === 'MEMBER_LEFT') moves.push({ change: message.version - 1, isIn: false })
        if (message.kind === 'MEMBER_JOINED') moves.push({ change: message.version + 1, isIn: true })
      }
      moves.sort((one, other) => one.change - other.change)
      return moves.flatMap(({ change, isIn }, nth) =>
        isIn ? [] : [{ out: change, back: moves[nth + 1]?.change ?? Infinity }],
      )
    },
  }
}
