import { expectedFailure } from '../errors.ts'
import type { EventBus } from '../event-bus/event-bus.ts'
import { createAudiences } from '../fanout/live/audience.ts'
import { channelSource } from '../fanout/channel-source.ts'
import { encodeCursor } from '../fanout/cursor.ts'
import { createFeeds } from '../fanout/feed.ts'
import { createGathering } from '../fanout/live/gathering.ts'
import type { Answer, Frames, Group, PushStream, Subscriber } from '../fanout/live/group.ts'
import type { InboxItem } from '../fanout/streams/inbox-item.ts'
import type { Source } from '../fanout/source.ts'
import { type MessageChange, openMessages } from '../fanout/streams/messages.ts'
import type { StreamDeps } from '../fanout/streams/stream-deps.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import type { Change, Position } from '../message-store/changes.ts'
import type { Person, TestApp } from './test-app.ts'

/** What becomes of news on its way. */
export type Chaos = (payload: string, deliver: (payload: string) => void) => void

/** Nothing happens to it. */
export const always: Chaos = (payload, deliver) => deliver(payload)

/** It never comes. */
export const never: Chaos = () => {}

export const userIdOf = (person: Pick<Person, 'id'>): string => (parseGlobalId(person.id) as { userId: string }).userId

/**
 * Streams of their own on an app's store: news is at the mercy of `chaos`, and heads are compared every `intervalMs`;
 * without it, not while the test runs. Close them when the test is over.
 */
export function openStreams(
  app: TestApp,
  chaos: Chaos,
  { intervalMs = 3_600_000, source = channelSource(app.app.messages) }: { intervalMs?: number; source?: Source<Change> } = {},
) {
  const errors: unknown[] = []
  const onError = (error: unknown) => void errors.push(error)
  const bus: EventBus = {
    ...app.app.bus,
    subscribe: (topic, handler) => app.app.bus.subscribe(topic, (payload) => chaos(payload, handler)),
  }
  const feeds = createFeeds({ source, bus, intervalMs, onError })
  const gathering = createGathering(onError)
  const frames = (answers: readonly Answer[]): Frames => ({ for: () => answers })
  const audiences = createAudiences({ feeds, gathering, frames, onError })
  const channels = { ...app.app.streams.channels, source, feeds }
  const deps: StreamDeps = { ...app.app.streams, channels, audiences, gathering }
  return { deps, feeds, audiences, gathering, errors, close: () => feeds.close() }
}

/** What a device is told of a change. */
export type Told = Position & { kind: string; messageId: string; version: number; content: string }

/** The message that an item of either stream tells of; null where it tells of something else. */
function messageOf(item: InboxItem | MessageChange): MessageChange | null {
  const change = item.type === 'change' ? item.change : item
  return change.type === 'message' ? change : null
}

/** A group that answers each item once, as all do; `before` says how long it takes. */
export function createTestGroup(before: (change: MessageChange) => Promise<unknown> = () => Promise.resolve()): Group {
  const answered = new WeakMap<object, Promise<Answer>>()
  async function answer(item: InboxItem | MessageChange): Promise<Answer> {
    const change = messageOf(item)
    if (change === null) return Buffer.from('null')
    await before(change)
    const { message, kind, seq } = change
    const { id: messageId, version, content } = message
    const told: Told = { change: change.change, seq, kind, messageId, version, content }
    return Buffer.from(JSON.stringify(told))
  }
  return {
    answer: (items) =>
      Promise.all(
        items.map((item) => {
          const known = answered.get(item as object) ?? answer(item as InboxItem | MessageChange)
          answered.set(item as object, known)
          return known
        }),
      ),
  }
}

/** A device that follows one channel, over as many subscriptions as it takes: what it was told, from first to last. */
export class Device implements Subscriber {
  readonly person: Person
  readonly group: Group
  readonly told: Told[] = []
  /** How far it has come. */
  position: Position
  /** Whether it takes nothing just now. */
  isFull = false
  /** Null where it is not subscribed, or where that has ended by itself. */
  stream: PushStream<unknown> | null = null
  /** Called with all that is told, in the moment in which it is. */
  onTold: (told: Told) => void = () => {}
  readonly #deps: StreamDeps
  readonly #channelId: string

  /** `channelId` is the channel's Snowflake. */
  constructor(
    deps: StreamDeps,
    { person, channelId, group, position }: { person: Person; channelId: string; group: Group; position: Position },
  ) {
    this.#deps = deps
    this.#channelId = channelId
    this.person = person
    this.group = group
    this.position = position
  }

  /** Subscribes from where it stands; what it is refused with, or null. */
  async open(): Promise<string | null> {
    const after = encodeCursor({ kind: 'channel', id: this.#channelId, ...this.position })
    try {
      this.start(await openMessages(this.#deps, userIdOf(this.person), this.#channelId, after))
      return null
    } catch (error) {
      return expectedFailure(error)?.code ?? String(error)
    }
  }

  /** Lets itself be told by a stream. */
  start(stream: PushStream<unknown>): void {
    this.stream = stream
    stream.start(this)
  }

  close(): void {
    this.stream?.stop()
    this.stream = null
    this.isFull = false
  }

  drain(): void {
    if (!this.isFull) return
    this.isFull = false
    this.stream?.resume()
  }

  isStalled(): boolean {
    return this.isFull
  }

  tell(answers: readonly Answer[]): Promise<void> {
    this.take({ for: () => answers })
    return this.#deps.gathering.nextRound()
  }

  take(frames: Frames): void {
    if (this.stream === null) return
    for (const answer of frames.for('')) {
      const told = JSON.parse(String(answer)) as Told | null
      if (told === null) continue
      this.told.push(told)
      this.position = { change: told.change, seq: told.seq }
      this.onTold(told)
    }
  }

  end(): void {
    this.stream = null
  }
}
