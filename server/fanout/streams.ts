import type { Database } from '../../drizzle/connection.ts'
import { accessChannel } from '../domain/access.ts'
import { badInput, cursorExpired, forbidden, notFound } from '../errors.ts'
import type { EventBus } from '../event-bus/event-bus.ts'
import type { Change, Position } from '../message-store/changes.ts'
import type { AccountItem } from './account-source.ts'
import type { Audiences, Telling } from './audience.ts'
import { dismisses } from './channel-source.ts'
import { type Cursor, decodeCursor } from './cursor.ts'
import type { Feeds } from './feed.ts'
import type { Gathering } from './gathering.ts'
import type { PushStream } from './group.ts'
import { type Follower, Leg } from './leg.ts'
import { patiently } from './patience.ts'
import { Pump } from './pump.ts'
import { openReader } from './reader.ts'
import { createRoom } from './room.ts'
import type { Source } from './source.ts'

/** What streams are opened with. */
export type StreamDeps = {
  database: Database
  bus: EventBus
  channels: { source: Source<Change>; feeds: Feeds<Change> }
  accounts: { source: Source<AccountItem>; feeds: Feeds<AccountItem> }
  audiences: Audiences
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
 * member any more.
 */
export async function openMessages(
  { database, channels, audiences }: StreamDeps,
  viewerId: string,
  channelId: string,
  after: string | null,
): Promise<PushStream<MessageChange>> {
  const held = after === null ? null : checkCursor(after, 'channel', channelId, 'after')
  const pump = new Pump<MessageChange>()
  const open = (id: string) =>
    openReader({ ...channels, id, userId: viewerId, room: createRoom(), onReady: () => pump.wake() })
  const reader = await open(channelId)
  if (reader === null) throw notFound('channel', 'channelId')
  const mayRead = () => accessChannel(database.orm, viewerId, channelId, 'read')
  try {
    // Asked only now: whoever is put out after this moment is seen to go by the reader.
    const { channel } = await mayRead()
    const head = { change: channel.lastChange, seq: channel.lastSeq, expiredChange: channel.expiredChange }
    if (held !== null) checkCursorIsGood(held, head)
    reader.begin(held ?? head)
  } catch (error) {
    reader.close()
    throw error
  }
  const follower: Follower = {
    userId: viewerId,
    audiences,
    telling: messagesTelling,
    subscriber: null,
    reopen: open,
    onUnseated: () => pump.wake(),
  }
  const leg = new Leg(follower, channelId, reader)
  const isClosed = () => pump.isClosed
  const step = () => leg.step()
  pump.steps = {
    async next() {
      for (;;) {
        const taken = await patiently(step, isClosed)
        if (taken === 'forbidden') throw removed()
        if (taken === 'nothing') return null
        // Who was put out may be back by now, and then only hears of it late.
        if (dismisses(taken.change, viewerId)) await patiently(mayRead, isClosed)
        else if (taken.change.type === 'message') return taken.change
      }
    },
    isAtHand: () => leg.isOnPage(),
    goLive(subscriber) {
      follower.subscriber = subscriber
    },
    close: () => leg.close(),
  }
  return pump
}

/** A channel's messages are told as they are. */
const messagesTelling: Telling = { itemOf: (change) => (change.type === 'message' ? change : null) }
