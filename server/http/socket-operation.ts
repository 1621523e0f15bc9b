import { randomUUID } from 'node:crypto'
import type { Answer, Frames, Group, PushStream, Subscriber } from '../fanout/live/group.ts'
import type { Viewer } from '../viewer.ts'
import type { Connection } from './connection.ts'
import { nextFrames } from './frames.ts'
import type { Wire } from './wire.ts'

/** What all operations of a server need to be told and to end. */
export type OperationHost = {
  wire: Wire
  /** So many answers were told to a subscription by itself. */
  onTold(count: number): void
  /** A subscription has ended by itself, with what it failed with or null. */
  onEnd(operation: SocketOperation, error: unknown): void
}

/**
 * An operation under way on a socket: a question whose answer is being made, or a subscription, which is then what its
 * stream tells. A class, as the memory of an idle socket is mostly its subscriptions.
 */
export class SocketOperation implements Subscriber {
  readonly connection: Connection
  readonly id: string
  readonly #host: OperationHost
  viewer: Viewer | null = null
  isOver = false
  /** The field at the root of the subscription, once it is open. */
  field: string | null = null
  isSubscription = false
  #group: Group | null = null
  stream: PushStream<unknown> | null = null

  constructor(host: OperationHost, connection: Connection, id: string) {
    this.#host = host
    this.connection = connection
    this.id = id
  }

  get group(): Group {
    return this.#group!
  }

  /** Makes a subscription of it, and lets its stream begin to tell. */
  begin(field: string, group: Group, stream: PushStream<unknown>): void {
    this.field = field
    this.#group = group
    this.stream = stream
    stream.start(this)
  }

  isStalled(): boolean {
    const { socket, stalledSince } = this.connection
    // What closes takes nothing any more, and is not read for either.
    return stalledSince !== 0 || socket.readyState !== socket.OPEN
  }

  tell(answers: readonly Answer[]): Promise<void> {
    this.take(nextFrames(answers))
    this.#host.onTold(answers.length)
    return this.#host.wire.nextRound()
  }

  take(frames: Frames): void {
    if (!this.isOver) this.#host.wire.take(this.connection, frames, this.id)
  }

  end(error: unknown): void {
    this.#host.onEnd(this, error)
  }
}

/** A name for what goes wrong in an event that many are told of. */
export const eventRequestId = (): string => `event.${randomUUID()}`
