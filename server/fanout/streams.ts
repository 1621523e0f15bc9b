import type { Database } from '../../drizzle/connection.ts'
import { accessChannel } from '../domain/access.ts'
import type { Signal } from '../domain/announcer.ts'
import { badInput, cursorExpired, forbidden, notFound } from '../errors.ts'
import type { Presence } from '../domain/presence.ts'
import type { EventBus } from '../event-bus/event-bus.ts'
import { createBell, pullIterator } from '../lib/pull-iterator.ts'
import type { Change, Position } from '../message-store/changes.ts'
import type { AccountItem } from './account-source.ts'
import { dismisses } from './channel-source.ts'
import { type Cursor, decodeCursor } from './cursor.ts'
import type { Feeds } from './feed.ts'
import { patiently } from './patience.ts'
import { openReader } from './reader.ts'
import { createRoom } from './room.ts'
import type { Source } from './source.ts'
import { topics } from './topics.ts'

/** What streams are opened with. */
export type StreamDeps = {
  database: Database
  bus: EventBus
  channels: { source: Source<Change>; feeds: Feeds<Change> }
  accounts: { source: Source<AccountItem>; feeds: Feeds<AccountItem> }
}

/** Somebody typing is shown for this long after they were last heard of. Milliseconds. */
const typingExpiryMs = 6_000

/** People whose presence one stream may watch. */
export const maxWatched = 500

export type MessageChange = Extract<Change, { type: 'message' }>
export type TypingNews = { userId: string; typing: boolean }
export type ReceiptNews = { userId: string; lastReadSeq: number }

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
  { database, channels }: StreamDeps,
  viewerId: string,
  channelId: string,
  after: string | null,
): Promise<AsyncIterableIterator<MessageChange>> {
  const held = after === null ? null : checkCursor(after, 'channel', channelId, 'after')
  const bell = createBell()
  const reader = await openReader({
    ...channels,
    id: channelId,
    userId: viewerId,
    room: createRoom(),
    onReady: bell.ring,
  })
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
  let closed = false
  const isClosed = () => closed
  return pullIterator(
    async () => {
      for (;;) {
        const step = await patiently(reader.step, isClosed)
        if (step === 'forbidden') throw removed()
        if (step === 'nothing') await bell.wait()
        // Who was put out may be back by now, and then only hears of it late.
        else if (dismisses(step.change, viewerId)) await patiently(mayRead, isClosed)
        else if (step.change.type === 'message') return step.change
      }
    },
    () => {
      closed = true
      reader.close()
    },
  )
}

/** News that waits to be told, and the change of the channel that it came after. */
type Waiting<News> = Map<string, { news: News; change: number }>

/**
 * Signals of one channel for one member, each user's latest of a kind; ends with FORBIDDEN as the messages do. `hear`
 * puts into `waiting` what there is to tell of a signal.
 */
async function openSignals<News>(
  { database, bus, channels }: StreamDeps,
  viewerId: string,
  channelId: string,
  hear: (signal: Signal, waiting: Waiting<News>, ring: () => void) => void,
  stop: () => void = () => {},
): Promise<AsyncIterableIterator<News>> {
  const bell = createBell()
  // Who reads slowly gets what is true by then: memory is bounded by the number of people, not of signals.
  const waiting: Waiting<News> = new Map()
  const mayRead = () => accessChannel(database.orm, viewerId, channelId, 'read')
  let wasDismissed = false
  let closed = false
  const attached = await channels.feeds.attach(channelId, (changes) => {
    wasDismissed ||= changes === 'lost' || changes.some((change) => dismisses(change, viewerId))
    bell.ring()
  })
  if (attached === null) throw notFound('channel', 'channelId')
  let unsubscribe = () => {}
  const close = () => {
    closed = true
    attached.detach()
    unsubscribe()
    stop()
  }
  try {
    unsubscribe = await bus.subscribe(topics.signals(channelId), (payload) => {
      hear(JSON.parse(payload) as Signal, waiting, bell.ring)
    })
    await mayRead()
  } catch (error) {
    close()
    throw error
  }

  function next(): News | undefined {
    for (const [userId, { news, change }] of waiting) {
      // Until the channel's changes have come so far, the viewer may have been put out before this.
      if (change > attached!.position().change) attached!.lookFor(change)
      else if (waiting.delete(userId)) return news
    }
    return undefined
  }

  return pullIterator(async () => {
    for (;;) {
      while (wasDismissed) {
        wasDismissed = false
        waiting.clear()
        // They may be back by now.
        await patiently(mayRead, () => closed)
      }
      const news = next()
      if (news !== undefined) return news
      await bell.wait()
    }
  }, close)
}

/** Who begins and stops typing in a channel, but for the viewer. Who is not heard of again has stopped. */
export function openTyping(deps: StreamDeps, viewerId: string, channelId: string) {
  const expiries = new Map<string, NodeJS.Timeout>()
  return openSignals<TypingNews>(
    deps,
    viewerId,
    channelId,
    (signal, waiting, ring) => {
      if (signal.type !== 'typing' || signal.userId === viewerId) return
      const { userId, change } = signal
      const tell = (typing: boolean) => {
        waiting.set(userId, { news: { userId, typing }, change })
        ring()
      }
      const known = expiries.get(userId)
      clearTimeout(known)
      expiries.delete(userId)
      if (signal.typing) {
        const expire = () => {
          expiries.delete(userId)
          tell(false)
        }
        expiries.set(userId, setTimeout(expire, typingExpiryMs).unref())
      }
      // Being heard of again is no news, nor is stopping without having begun.
      if (signal.typing !== (known !== undefined)) tell(signal.typing)
    },
    () => {
      for (const timer of expiries.values()) clearTimeout(timer)
    },
  )
}

/** How far the others have read. */
export const openReceipts = (deps: StreamDeps, viewerId: string, channelId: string) =>
  openSignals<ReceiptNews>(deps, viewerId, channelId, (signal, waiting, ring) => {
    if (signal.type !== 'read') return
    const { userId, lastReadSeq, change } = signal
    waiting.set(userId, { news: { userId, lastReadSeq }, change })
    ring()
  })

/** Whose presence has moved: each of these users once at first, then whenever it does. */
export async function openPresence(
  { bus }: StreamDeps,
  userIds: readonly string[],
  find: (userIds: readonly string[]) => Promise<Map<string, Presence>>,
): Promise<AsyncIterableIterator<string>> {
  const watched = new Set(userIds)
  if (watched.size > maxWatched) throw badInput(`At most ${maxWatched} people at once.`, 'userIds')
  const bell = createBell()
  const waiting = new Set(watched)
  const subscriptions = await Promise.all(
    [...watched].map((userId) =>
      bus.subscribe(topics.presence(userId), () => {
        waiting.add(userId)
        bell.ring()
      }),
    ),
  )
  /** What was told of each last. */
  const told = new Map<string, string>()
  let closed = false
  const isClosed = () => closed
  return pullIterator(
    async () => {
      for (;;) {
        const [userId] = waiting
        if (userId === undefined) {
          await bell.wait()
          continue
        }
        waiting.delete(userId)
        const seen = (await patiently(() => find([userId]), isClosed)).get(userId)!
        const news = JSON.stringify([seen.status, seen.statusText])
        // Who may not see how somebody comes and goes must not be able to tell it from when they are told nothing new.
        if (told.get(userId) === news) continue
        told.set(userId, news)
        return userId
      }
    },
    () => {
      closed = true
      subscriptions.forEach((unsubscribe) => unsubscribe())
    },
  )
}
