import type { Signal } from '../../domain/announcer.ts'
import { notFound } from '../../errors.ts'
import type { EventBus } from '../../event-bus/event-bus.ts'
import { type Bell, createBell, pullIterator } from '../../lib/pull-iterator.ts'
import type { Change } from '../../message-store/changes.ts'
import type { Attached, Feeds } from '../feed.ts'
import { patiently } from '../returning/patience.ts'
import type { Standings } from '../returning/standings.ts'
import { topics } from '../topics.ts'

/** Somebody typing is shown for this long after they were last heard of. Milliseconds. */
const typingExpiryMs = 6_000

export type TypingNews = { userId: string; typing: boolean }
export type ReceiptNews = { userId: string; lastReadSeq: number }

/** One stream of one kind of news. */
type Listener<News> = {
  viewerId: string
  /** What it is to be told of each user: the latest, so that who reads slowly costs people, and not signals. */
  waiting: Map<string, News>
  /** Takes note of what was told. */
  onTold(news: News): void
  /** What is to be told when it begins to listen, or is let in again. */
  greet(channel: Channel): void
  bell: Bell
  /** Whether the viewer is known to be a member; nothing gathers while that is being looked up. */
  isAdmitted: boolean
  /** How often the viewer was seen to be put out. */
  dismissals: number
}

type TypingListener = Listener<TypingNews> & {
  /** Who is shown as typing. */
  shown: Set<string>
}

/** A channel whose signals somebody on this replica listens to, once for the replica. */
type Channel = {
  id: string
  attached: Attached | null
  unsubscribe: () => void
  /** False where there is no such channel. */
  ready: Promise<boolean>
  typing: Set<TypingListener>
  receipts: Set<Listener<ReceiptNews>>
  /** Who types just now, with what everybody was told of it and when it expires. */
  typists: Map<string, { news: TypingNews; expiry: NodeJS.Timeout }>
  /** The latest of each kind and user that came after a change which this replica has not seen yet. */
  held: Map<string, Signal>
}

export type SignalHub = {
  /**
   * Who begins and stops typing in a channel, but for the viewer; first who does just now. Who is not heard of again has
   * stopped. Like every stream of signals it throws NOT_FOUND or FORBIDDEN, and ends with FORBIDDEN once the viewer is
   * no member any more.
   */
  openTyping(viewerId: string, channelId: string): Promise<AsyncIterableIterator<TypingNews>>
  /** How far members have read, whenever one of them has moved. */
  openReceipts(viewerId: string, channelId: string): Promise<AsyncIterableIterator<ReceiptNews>>
  /** How many channels are listened to. */
  size(): number
}

/**
 * The signals of the channels that this replica's streams listen to, each channel once, however many streams there are:
 * one subscription to the bus, one parsing, one timer for each typist, and the same object for all who are told.
 */
export function createSignalHub(deps: {
  bus: EventBus
  standings: Pick<Standings, 'accessToRead'>
  feeds: Feeds<Change>
  onError: (error: unknown) => void
}): SignalHub {
  const { bus, standings, feeds } = deps
  const channels = new Map<string, Channel>()

  function watch(id: string): Channel {
    const channel: Channel = {
      id,
      attached: null,
      unsubscribe: () => {},
      ready: Promise.resolve(false),
      typing: new Set(),
      receipts: new Set(),
      typists: new Map(),
      held: new Map(),
    }
    channel.ready = (async () => {
      channel.attached = await feeds.attach(id, (changes) => follow(channel, changes))
      if (channel.attached === null) return false
      channel.unsubscribe = await bus.subscribe(topics.signals(id), (payload) => hear(channel, payload))
      return true
    })()
    channels.set(id, channel)
    return channel
  }

  /** Ends what nobody listens to any more. */
  async function leave(channel: Channel) {
    if (channel.typing.size > 0 || channel.receipts.size > 0 || channels.get(channel.id) !== channel) return
    channels.delete(channel.id)
    for (const { expiry } of channel.typists.values()) clearTimeout(expiry)
    await channel.ready.catch(() => {})
    channel.unsubscribe()
    channel.attached?.detach()
    channel.attached = null
  }

  function follow(channel: Channel, changes: Change[] | 'lost') {
    const left = changes === 'lost' ? null : new Set(changes.flatMap(whoLeft))
    if (left === null || left.size > 0) {
      for (const listener of [...channel.typing, ...channel.receipts]) {
        if (left === null || left.has(listener.viewerId)) dismiss(listener)
      }
    }
    // Not before those who were put out are known.
    for (const [key, signal] of channel.held) {
      if (signal.change > channel.attached!.position().change) continue
      channel.held.delete(key)
      tell(channel, signal)
    }
  }

  function hear(channel: Channel, payload: string) {
    let signal: Signal
    try {
      signal = JSON.parse(payload) as Signal
    } catch (error) {
      return deps.onError(error)
    }
    const { attached } = channel
    if (attached === null) return
    const key = `${signal.type} ${signal.userId}`
    channel.held.delete(key)
    if (signal.change <= attached.position().change) return tell(channel, signal)
    // Until the channel's changes have come so far, somebody may have been put out before this.
    channel.held.set(key, signal)
    attached.lookFor(signal.change)
  }

  function tell(channel: Channel, signal: Signal) {
    if (signal.type === 'typing') return setTyping(channel, signal.userId, signal.typing)
    const news: ReceiptNews = { userId: signal.userId, lastReadSeq: signal.lastReadSeq }
    for (const listener of channel.receipts) if (listener.isAdmitted) put(listener, news)
  }

  function setTyping(channel: Channel, userId: string, typing: boolean) {
    const known = channel.typists.get(userId)
    // Being heard of again is no news, nor is stopping without having begun.
    if (typing && known !== undefined) return void known.expiry.refresh()
    if (!typing && known === undefined) return
    const news = { userId, typing }
    if (typing) {
      const expiry = setTimeout(() => setTyping(channel, userId, false), typingExpiryMs).unref()
      channel.typists.set(userId, { news, expiry })
    } else {
      clearTimeout(known!.expiry)
      channel.typists.delete(userId)
    }
    for (const listener of channel.typing) {
      if (!listener.isAdmitted || listener.viewerId === userId) continue
      // Who began and stopped before it was told, or stopped and began again, has done nothing new.
      if (listener.shown.has(userId) === typing) listener.waiting.delete(userId)
      else put(listener, news)
    }
  }

  async function listen<News extends { userId: string }>(
    channelId: string,
    listener: Listener<News>,
    listenersOf: (channel: Channel) => Set<Listener<News>>,
  ): Promise<AsyncIterableIterator<News>> {
    const channel = channels.get(channelId) ?? watch(channelId)
    const mayRead = () => standings.accessToRead(listener.viewerId, channelId)
    let isClosed = false
    listenersOf(channel).add(listener)
    const close = () => {
      isClosed = true
      listenersOf(channel).delete(listener)
      void leave(channel)
    }

    /** Lets the viewer in, by what `ask` says; they may have been put out again meanwhile. */
    async function admit(ask: () => Promise<unknown>) {
      for (let before = -1; before !== listener.dismissals; ) {
        before = listener.dismissals
        await ask()
      }
      listener.isAdmitted = true
      listener.greet(channel)
    }

    try {
      if (!(await channel.ready)) throw notFound('channel', 'channelId')
      await admit(mayRead)
    } catch (error) {
      close()
      throw error
    }
    return pullIterator(async () => {
      for (;;) {
        // Who was put out may be back by now.
        if (!listener.isAdmitted) await admit(() => patiently(mayRead, () => isClosed))
        const [news] = listener.waiting.values()
        if (news === undefined) await listener.bell.wait()
        else {
          listener.waiting.delete(news.userId)
          listener.onTold(news)
          return news
        }
      }
    }, close)
  }

  return {
    openTyping(viewerId, channelId) {
      const shown = new Set<string>()
      const listener: TypingListener = {
        ...newListener<TypingNews>(viewerId),
        shown,
        onTold: ({ userId, typing }) => void (typing ? shown.add(userId) : shown.delete(userId)),
        greet({ typists }) {
          for (const userId of shown) if (!typists.has(userId)) put(listener, { userId, typing: false })
          for (const [userId, { news }] of typists) if (userId !== viewerId && !shown.has(userId)) put(listener, news)
        },
      }
      return listen<TypingNews>(channelId, listener, (channel) => channel.typing as Set<Listener<TypingNews>>)
    },
    openReceipts: (viewerId, channelId) =>
      listen(channelId, newListener<ReceiptNews>(viewerId), (channel) => channel.receipts),
    size: () => channels.size,
  }
}

const newListener = <News>(viewerId: string): Listener<News> => ({
  viewerId,
  waiting: new Map(),
  onTold() {},
  greet() {},
  bell: createBell(),
  isAdmitted: false,
  dismissals: 0,
})

const whoLeft = (change: Change): string[] =>
  change.type === 'member' && change.member.leftAt !== null ? [change.member.userId] : []

function put<News extends { userId: string }>({ waiting, bell }: Listener<News>, news: News) {
  waiting.set(news.userId, news)
  bell.ring()
}

function dismiss(listener: Listener<TypingNews> | Listener<ReceiptNews>) {
  listener.isAdmitted = false
  listener.dismissals++
  listener.waiting.clear()
  listener.bell.ring()
}
