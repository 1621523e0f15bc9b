import type { Change, Position } from '../../message-store/changes.ts'
import { dismisses } from '../channel-source.ts'
import type { Attached, Feeds } from '../feed.ts'
import type { Gathering, Sender } from './gathering.ts'
import type { Answer, Frames, Group, Subscriber } from './group.ts'

/** Changes that wait to be answered, for one audience, beyond which all of its seats read from the store. */
const maxWaiting = 4_096

/** Changes that are answered together: so many share what has to be loaded for them, and the first need not wait long. */
const answeredAtOnce = 64

/** Bytes of answers that are sent to each seat in one round: what a socket takes before it is stalled. */
const sentAtOnce = 256 * 1024

/** Bytes of answers that wait to be sent, beyond which no more are made. */
const maxReadyBytes = 1024 * 1024

/** Somebody who is told of one channel live. */
export type Seat = {
  readonly userId: string
  readonly subscriber: Subscriber
  /** Where it stands: when it took its seat, and again when it has lost it. Between, it stands where the audience does. */
  position: Position
  /** Its place among the others, -1 where it has none; kept by the audience. */
  place: number
  /**
   * It has no seat any more, as it does not read, has been put out of the channel, or something was lost: whatever
   * comes after `position` must be read from the store. Called within a round: it must not seat anybody.
   */
  unseated(): void
}

/** What the changes of a channel are told as. The same change gives the same item, so that it is answered once. */
export type Telling = {
  /** Null where there is nothing to tell. */
  itemOf(change: Change): object | null
  /** What is told before it to one user alone. */
  forOne?(change: Change): { userId: string; item: object } | null
}

/** One change that is to be told. */
type Entry = { change: Change; item: object; own: { userId: string; item: object } | null }

/** The same with its answers. */
type Told = { change: Change; answer: Answer; own: { userId: string; answer: Answer } | null }

export type Audiences = {
  /**
   * Seats somebody who stands where the channel's feed does; false where it does not, or there is none: then it must
   * read on.
   */
  seat(group: Group, channelId: string, telling: Telling, seat: Seat): boolean
  /** Takes the seat back; `position` says how far it was told. Not for who has lost it. */
  leave(group: Group, channelId: string, seat: Seat): void
  /** How many audiences there are. */
  size(): number
  /** Legs that read from the store rather than being told live, just now. */
  reading: number
}

type Deps = {
  feeds: Feeds<Change>
  gathering: Gathering
  frames: (answers: readonly Answer[]) => Frames
  onError: (error: unknown) => void
  /** Called with how many times something was sent. */
  onDelivered?: (deliveries: number) => void
}

/** The audiences of this replica: for each channel and coalescing group, those who are live. */
export function createAudiences(deps: Deps): Audiences {
  const byGroup = new WeakMap<Group, Map<string, Audience>>()
  let count = 0

  function open(group: Group, channelId: string, telling: Telling): Audience | null {
    const own = byGroup.get(group) ?? new Map<string, Audience>()
    byGroup.set(group, own)
    const known = own.get(channelId)
    if (known !== undefined) return known
    const audience = createAudience(deps, group, channelId, telling, () => {
      own.delete(channelId)
      count--
    })
    if (audience === null) return null
    own.set(channelId, audience)
    count++
    return audience
  }

  return {
    seat(group, channelId, telling, seat) {
      const audience = open(group, channelId, telling)
      return audience !== null && audience.seat(seat)
    },
    leave: (group, channelId, seat) => byGroup.get(group)?.get(channelId)?.leave(seat),
    size: () => count,
    reading: 0,
  }
}

type Audience = { seat(seat: Seat): boolean; leave(seat: Seat): void }

/** Null where this replica does not watch the channel. */
function createAudience(
  { feeds, gathering, frames, onError, onDelivered }: Deps,
  group: Group,
  channelId: string,
  telling: Telling,
  onEmpty: () => void,
): Audience | null {
  const seats: Seat[] = []
  let waiting: Entry[] = []
  let ready: Told[] = []
  let readyBytes = 0
  let isAnswering = false
  let isClosed = false
  /** How far those who sit here have been told. */
  let told: Position

  const attached: Attached | null = feeds.listen(channelId, hear)
  if (attached === null) return null
  told = attached.position()

  /** Where the seat stands: it may have come when some were under way that it knows. */
  const positionOf = (seat: Seat) => (seat.position.change > told.change ? seat.position : told)

  function remove(seat: Seat) {
    const last = seats.pop()!
    if (last !== seat) {
      seats[seat.place] = last
      last.place = seat.place
    }
    seat.position = positionOf(seat)
    seat.place = -1
  }

  function unseat(seat: Seat) {
    remove(seat)
    seat.unseated()
  }

  function closeIfEmpty() {
    if (seats.length > 0 || isClosed) return
    isClosed = true
    waiting = []
    ready = []
    readyBytes = 0
    attached!.detach()
    onEmpty()
  }

  function unseatAll() {
    waiting = []
    ready = []
    readyBytes = 0
    for (const seat of seats.slice()) unseat(seat)
    closeIfEmpty()
  }

  function hear(changes: Change[] | 'lost') {
    if (changes === 'lost') return unseatAll()
    for (const change of changes) {
      putOut(change)
      const item = telling.itemOf(change)
      if (item !== null) waiting.push({ change, item, own: ownOf(change) })
    }
    closeIfEmpty()
    if (isClosed) return
    if (waiting.length > maxWaiting) return unseatAll()
    if (waiting.length > 0) answer().catch(giveUp)
    // Nothing to tell of these, and yet everybody is further on.
    else if (!isAnswering && ready.length === 0) told = attached!.position()
  }

  /** Each stream finds out for itself what is wrong, and ends with it. */
  function giveUp(error: unknown) {
    onError(error)
    unseatAll()
  }

  function putOut(change: Change) {
    if (change.type !== 'member' || change.member.leftAt === null) return
    for (const seat of seats.slice()) if (dismisses(change, seat.userId)) unseat(seat)
  }

  function ownOf(change: Change): Entry['own'] {
    const own = telling.forOne?.(change) ?? null
    return own !== null && seats.some(({ userId }) => userId === own.userId) ? own : null
  }

  async function answer(): Promise<void> {
    if (isAnswering) return
    isAnswering = true
    while (waiting.length > 0) {
      const entries = waiting.splice(0, answeredAtOnce)
      const answers = await group.answer(entries.flatMap(({ item, own }) => (own === null ? [item] : [own.item, item])))
      let next = 0
      const answered = entries.map(({ change, own }): Told => {
        const ownAnswer = own === null ? null : { userId: own.userId, answer: answers[next++]! }
        return { change, own: ownAnswer, answer: answers[next++]! }
      })
      if (isClosed) return
      if (ready.length === 0) gathering.add(sender)
      ready.push(...answered)
      for (const entry of answered) readyBytes += entry.answer.length
      while (readyBytes > maxReadyBytes && !isClosed) await gathering.nextRound()
      if (isClosed) return
    }
    isAnswering = false
  }

  /** What is sent in this round; the rest waits for the next one. */
  function takeReady(): Told[] {
    let bytes = 0
    let count = 0
    while (count < ready.length && bytes < sentAtOnce) bytes += ready[count++]!.answer.length
    const taken = ready.splice(0, count)
    readyBytes = Math.max(0, readyBytes - bytes)
    if (ready.length > 0) setImmediate(() => gathering.add(sender))
    return taken
  }

  const sender: Sender = {
    send() {
      const now = takeReady()
      const last = now.at(-1)
      if (last === undefined) return
      const [first] = now as [Told]
      const forAll = frames(now.map((entry) => entry.answer))
      const authors = new Set(now.flatMap(({ own }) => own?.userId ?? []))
      let deliveries = 0
      // From the end, as who does not read loses its seat to the last one.
      for (let place = seats.length - 1; place >= 0; place--) {
        const seat = seats[place]!
        if (seat.subscriber.isStalled()) {
          unseat(seat)
          continue
        }
        const isLikeOthers = seat.position.change < first.change.change && !authors.has(seat.userId)
        const own = isLikeOthers ? null : answersFor(seat, now)
        const count = own?.length ?? now.length
        try {
          if (count > 0) seat.subscriber.take(own === null ? forAll : frames(own))
          deliveries += count
        } catch (error) {
          // It has not been told all of this, and reads it from the store.
          unseat(seat)
          onError(error)
        }
      }
      told = { change: last.change.change, seq: last.change.seq }
      onDelivered?.(deliveries)
      closeIfEmpty()
    },
  }

  return {
    seat(seat) {
      // Further on than the feed, it would be told again what the feed has yet to read; the other way it would miss it.
      if (attached.position().change !== seat.position.change) {
        attached.lookFor(seat.position.change)
        closeIfEmpty()
        return false
      }
      // Of the pages of one reading each message is CREATED once, to who has been told of all of them.
      if (attached.isReading()) {
        closeIfEmpty()
        return false
      }
      // One object for many, where it can be.
      if (seat.position.change === told.change) seat.position = told
      seat.place = seats.length
      seats.push(seat)
      return true
    },
    leave(seat) {
      if (seat.place === -1) return
      remove(seat)
      closeIfEmpty()
    },
  }
}

/** What of these is new to a seat, with what is told to it alone. */
function answersFor(seat: Seat, entries: readonly Told[]): Answer[] {
  return entries.flatMap(({ change, own, answer }) => {
    if (change.change <= seat.position.change) return []
    return own?.userId === seat.userId ? [own.answer, answer] : [answer]
  })
}
