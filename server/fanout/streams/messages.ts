import { forbidden, notFound } from '../../errors.ts'
import type { Change } from '../../message-store/changes.ts'
import { dismisses } from '../channel-source.ts'
import type { Telling } from '../live/audience.ts'
import type { PushStream } from '../live/group.ts'
import { Leg } from '../live/leg.ts'
import { patiently } from '../returning/patience.ts'
import { openReader, type Reader } from '../returning/reader.ts'
import { createRoom } from '../returning/room.ts'
import { FollowingStream } from './following-stream.ts'
import { checkCursor, checkCursorIsGood } from './held-cursors.ts'
import type { StreamDeps } from './stream-deps.ts'

export type MessageChange = Extract<Change, { type: 'message' }>

const removed = () => forbidden('You are not a member of this channel.')

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
class MessagesStream extends FollowingStream<MessageChange> {
  /** Given before anything is read. */
  leg!: Leg

  get telling(): Telling {
    return messagesTelling
  }

  reopen(channelId: string): Promise<Reader<Change> | null> {
    const onReady = () => this.wake()
    return openReader({ ...this.deps.channels, id: channelId, userId: this.userId, room: createRoom(), onReady })
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
        const mayRead = () => this.deps.standings.accessToRead(this.userId, this.leg.channelId)
        await patiently(mayRead, isClosed)
      } else if (step.change.type === 'message') return step.change
    }
  }

  isAtHand(): boolean {
    return this.leg.isAtHand()
  }

  mayStillTell(items: readonly MessageChange[]): null | Promise<boolean[]> {
    return this.leg.isDoubtful() ? this.#requireMember().then(() => items.map(() => true)) : null
  }

  async #requireMember(): Promise<void> {
    if (!(await this.isMember(this.leg.channelId))) throw removed()
  }

  close(): void {
    this.leg.close()
  }
}

/** A channel's messages are told as they are. */
const messagesTelling: Telling = { itemOf: (change) => (change.type === 'message' ? change : null) }
