import type { Change, Position } from '../../message-store/changes.ts'
import type { Audiences, Seat, Telling } from './audience.ts'
import type { Subscriber } from './group.ts'
import type { Reader, Step } from '../returning/reader.ts'

/** One subscription that follows channels: what its legs have in common. */
export type Follower = {
  readonly userId: string
  readonly audiences: Audiences
  readonly telling: Telling
  /** Who is to be told live; null for as long as nobody is. */
  subscriber: Subscriber | null
  /** Whether what was read so far is told. Until then no leg sits down: what it is told live would overtake that. */
  isToldAll: boolean
  /** Opens another reader, which listens and has not begun; null where the channel is gone. */
  reopen(channelId: string): Promise<Reader<Change> | null>
  /** Called when a leg has lost its seat. */
  onUnseated(channelId: string): void
}

/**
 * One channel as one subscription follows it. It is in one of three states:
 *
 * - **reading**: a reader gives out what was missed, and what comes meanwhile. When it has nothing more to give, and
 *   somebody wants to be told live, the leg takes a seat in the channel's audience and the reader is closed.
 * - **live**: it is told with all others in the audience, and costs no more than its place among them.
 * - **waiting**: it has lost its seat, and stands where it was told last. The next step opens a reader there.
 *
 * A class, unlike most here: an inbox has one for each channel, and functions of their own would be most of them.
 */
export class Leg implements Seat {
  readonly channelId: string
  readonly #follower: Follower
  #reader: Reader<Change> | null = null
  #isClosed = false
  position: Position
  place = -1

  /** Begins with a reader, which is told where to begin before the first step. */
  constructor(follower: Follower, channelId: string, reader: Reader<Change>) {
    this.#follower = follower
    this.channelId = channelId
    this.position = reader.position()
    this.#readBy(reader)
  }

  get userId(): string {
    return this.#follower.userId
  }

  get subscriber(): Subscriber {
    return this.#follower.subscriber!
  }

  /** Says where to begin, and how far the channel has come. To be called once, before the first step. */
  begin(position: Position, reach?: number): void {
    this.#reader!.begin(position, reach)
  }

  /** Where it stands after what was read last. */
  standsAt(): Position {
    return this.#reader?.position() ?? this.position
  }

  isOnPage(): boolean {
    return this.#reader?.isOnPage() ?? false
  }

  isAtHand(): boolean {
    return this.#reader?.isAtHand() ?? false
  }

  /** Whether the user was put out lately, so that it must be asked whether they may still be told. */
  isDoubtful(): boolean {
    return this.#reader?.wasDismissed() ?? false
  }

  /** What is next to be read; nothing while the leg is live, too. */
  async step(): Promise<Step<Change>> {
    if (this.place !== -1 || this.#isClosed) return 'nothing'
    const reader = this.#reader ?? (await this.#read())
    if (reader === null) return 'forbidden'
    const step = await reader.step()
    if (step === 'nothing') this.#trySeat(reader)
    return step
  }

  async #read(): Promise<Reader<Change> | null> {
    const reader = await this.#follower.reopen(this.channelId)
    if (this.#isClosed) reader?.close()
    else if (reader !== null) {
      reader.begin(this.position)
      this.#readBy(reader)
    }
    return reader
  }

  #trySeat(reader: Reader<Change>): void {
    const { subscriber, audiences, telling } = this.#follower
    if (subscriber === null || !this.#follower.isToldAll || this.#isClosed || this.#reader !== reader) return
    this.position = reader.position()
    if (!audiences.seat(subscriber.group, this.channelId, telling, this)) return
    this.#endReading()
  }

  #readBy(reader: Reader<Change>): void {
    this.#reader = reader
    this.#follower.audiences.reading++
  }

  #endReading(): void {
    if (this.#reader === null) return
    this.#reader.close()
    this.#reader = null
    this.#follower.audiences.reading--
  }

  unseated(): void {
    if (!this.#isClosed) this.#follower.onUnseated(this.channelId)
  }

  close(): void {
    this.#isClosed = true
    this.#endReading()
    if (this.place !== -1) this.#follower.audiences.leave(this.subscriber.group, this.channelId, this)
  }
}
