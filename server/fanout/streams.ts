import type { Database } from '../../drizzle/connection.ts'
import { badInput, cursorExpired, forbidden, notFound } from '../errors.ts'
import type { EventBus } from '../event-bus/event-bus.ts'
import type { Change, Position } from '../message-store/changes.ts'
import type { AccountItem } from './account-source.ts'
import type { Audiences, Telling } from './audience.ts'
import { dismisses } from './channel-source.ts'
import { type Cursor, decodeCursor } from './cursor.ts'
import type { Feeds } from './feed.ts'
import type { Gathering } from './gathering.ts'
import type { PushStream, Subscriber } from './group.ts'
import { type Follower, Leg } from './leg.ts'
import { patiently } from './patience.ts'
import type { PresenceHub } from './presence-stream.ts'
import { Pump } from './pump.ts'
import { openReader, type Reader } from './reader.ts'
import type { Returning } from './returning.ts'
import { createRoom } from './room.ts'
import type { SignalHub } from './signal-streams.ts'
import type { Source } from './source.ts'

/** What streams are opened with. */
export type StreamDeps = {
  database: Database
  bus: EventBus
  channels: { source: Source<Change>; feeds: Feeds<Change> } & Returning['channels']
  accounts: { source: Source<AccountItem>; feeds: Feeds<AccountItem> } & Returning['accounts']
  admission: Returning['admission']
  standings: Returning['standings']
  audiences: Audiences
  signals: SignalHub
  presence: PresenceHub
  gathering: Gathering
}

export type MessageChange = Extract<Change, { type: 'message' }>

export const removed = () => forbidden('You are not a member of this channel.')

/** Reads the cursor that a client holds of one stream; throws BAD_USER_INPUT where it is of none, or of another. */
export function checkCursor(text: string, kind: Cursor['kind'], id: string, field: string): Position {
  const cursor = decodeCursor(text)
  if (cursor === null || cursor.kind !== kind || cursor.id !== id) {
    throw badInput('This is not a cursor of this stream.', field)
  }
  return { change: cursor.change, seq: cursor.seq }
}

/**
 * A cursor from the future was given out by a store that has since been put back: nobody knows what came after. One of
 * before what is kept misses what has been removed.
 */
export function checkCursorIsGood(
  after: Position,
  head: Position & { expiredChange: number },
  field = 'after',
  /** Where the stream will begin, which may be later. */
  from = after,
) {
  const isAhead = after.change > head.change || after.seq > head.seq
  if (isAhead || from.change < head.expiredChange) throw cursorExpired(field)
}

/**
 * One channel's messages: what changed after `after`, then what comes. Ends with FORBIDDEN once the viewer is no
 * member any more. Throws NOT_FOUND, FORBIDDEN, BAD_USER_INPUT for what is no cursor of this channel, CURSOR_EXPIRED,
 * and RATE_LIMITED where too many come back just now.
 */
export async function openMessages(
  deps: StreamDeps,
  viewerId: string,
  channelId: string,
  after: string | null,
): Promise<PushStream<MessageChange>> {
  const held = after === null ? null : checkCursor(after, 'channel', channelId, 'after')
  deps.admission.check()
  const stream = new MessagesStream(deps, viewerId)
  const reader = await stream.reopen(channelId)
  if (reader === null) throw notFound('channel', 'channelId')
  try {
    // Asked only now: whoever is put out after this moment is seen to go by the reader.
    const { head } = await deps.standings.accessToRead(viewerId, channelId)
    if (held !== null) checkCursorIsGood(held, head)
    reader.begin(held ?? { change: head.change, seq: head.seq }, head.change)
  } catch (error) {
    reader.close()
    throw error
  }
  stream.leg = new Leg(stream, channelId, reader)
  return stream
}

/** A stream of one channel's messages, which is told by one leg. */
class MessagesStream extends Pump<MessageChange> implements Follower {
  readonly #deps: StreamDeps
  readonly userId: string
  /** Given before anything is read. */
  leg!: Leg
  subscriber: Subscriber | null = null

  constructor(deps: StreamDeps, userId: string) {
    super()
    this.#deps = deps
    this.userId = userId
  }

  get audiences(): Audiences {
    return this.#deps.audiences
  }

  get telling(): Telling {
    return messagesTelling
  }

  reopen(channelId: string): Promise<Reader<Change> | null> {
    const onReady = () => this.wake()
    return openReader({ ...this.#deps.channels, id: channelId, userId: this.userId, room: createRoom(), onReady })
  }

  onUnseated(): void {
    this.wake()
  }

  async next(): Promise<MessageChange | null> {
    const isClosed = () => this.isClosed
    for (;;) {
      const step = await patiently(() => this.leg.step(), isClosed)
      if (step === 'forbidden') throw removed()
      if (step === 'nothing') return null
      if (dismisses(step.change, this.userId)) {
        // Who was put out may be back by now, and then only hears of it late.
        const mayRead = () => this.#deps.standings.accessToRead(this.userId, this.leg.channelId)
        await patiently(mayRead, isClosed)
      } else if (step.change.type === 'message') return step.change
    }
  }

  isAtHand(): boolean {
    return this.leg.isAtHand()
  }

  mayStillTell(): true | Promise<boolean> {
    return !this.leg.isDoubtful() || isMember(this.#deps, this.userId, this.leg.channelId, this)
  }

  goLive(subscriber: Subscriber): void {
    this.subscriber = subscriber
  }

  close(): void {
    this.leg.close()
  }
}

/** Whether somebody is a member now; asks for as long as the store is away, and the stream is open. */
export async function isMember(
  { standings }: Pick<StreamDeps, 'standings'>,
  userId: string,
  channelId: string,
  stream: { isClosed: boolean },
): Promise<boolean> {
  const standing = await patiently(() => standings.find(channelId, userId), () => stream.isClosed).catch(() => null)
  return standing?.member != null
}

/** A channel's messages are told as they are. */
const messagesTelling: Telling = { itemOf: (change) => (change.type === 'message' ? change : null) }
