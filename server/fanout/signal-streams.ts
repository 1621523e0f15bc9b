import { accessChannel } from '../domain/access.ts'
import type { Signal } from '../domain/announcer.ts'
import { notFound } from '../errors.ts'
import { createBell, pullIterator } from '../lib/pull-iterator.ts'
import { dismisses } from './channel-source.ts'
import { patiently } from './patience.ts'
import type { StreamDeps } from './streams.ts'
import { topics } from './topics.ts'

/** Somebody typing is shown for this long after they were last heard of. Milliseconds. */
const typingExpiryMs = 6_000

export type TypingNews = { userId: string; typing: boolean }
export type ReceiptNews = { userId: string; lastReadSeq: number }

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
