/** An answer as it goes over the wire: the bytes of its JSON. */
export type Answer = Buffer

/**
 * A coalescing group: the live subscriptions that get byte-for-byte the same answer to an event. Same document, same
 * variables but for where they resume, and the same viewer where the selection depends on who asks.
 */
export type Group = {
  /**
   * The answers to these items, in their order. An item is executed and serialised once, however often it is asked
   * for while somebody holds on to it. Waits for as long as the store is away; does not reject.
   */
  answer(items: readonly unknown[]): Promise<Answer[]>
}

/** One subscription, as streams see it. */
export type Subscriber = {
  readonly group: Group
  /** Whether so much is unsent that nothing should be added. The stream's `resume` is called when that is over. */
  isStalled(): boolean
  /** Sends answers. Resolves when they are on their way. */
  tell(answers: readonly Answer[]): Promise<void>
  /** Sends what is sent to many, in this round of the gathering. */
  take(answers: Frames): void
  /** Called once, when the stream has ended by itself: with what it failed with, or null. */
  end(error: unknown): void
}

/** Some answers, in whatever form each subscriber wants them, made once for all who want the same form. */
export type Frames = {
  /**
   * Where `isPassing`, the bytes are good only until the next call, here or of other frames: for who writes them at
   * once.
   */
  for(subscriptionId: string, isPassing?: boolean): readonly Buffer[]
}

/** A stream that tells a subscriber by itself, without being asked for each item. */
export type PushStream<Item> = AsyncIterable<Item> & {
  /** Begins to tell. In place of iterating, and once. */
  start(subscriber: Subscriber): void
  /** The subscriber is not stalled any more. */
  resume(): void
  stop(): void
  /** Calls `hook` when the stream ends or is stopped. */
  atEnd(hook: () => void): void
}

export const isPushStream = (stream: AsyncIterable<unknown>): stream is PushStream<unknown> =>
  'start' in stream && 'resume' in stream
