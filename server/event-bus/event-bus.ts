/**
 * Carries news between replicas, and within one. It is a hint and never the truth: the store is.
 *
 * What every engine guarantees:
 * - A handler gets each payload at most once, as it was published.
 * - Payloads that one replica publishes to one topic arrive in that order, as long as the topic stays on its shard.
 * - `subscribe` resolves once everything published from then on will arrive, as far as the bus is up. With the bus down
 *   it resolves within seconds, and the topic is listened to once it is up again.
 * - `publish` neither waits for anybody nor throws: news that cannot be delivered is lost, and counted.
 * - After a break, and after a topic has moved to another shard, `onGap` handlers are told that this replica may have
 *   missed anything, and by then it hears everything again.
 *
 * What none guarantees:
 * - That news arrives. Nobody is told of what another replica could not publish.
 * - Any order between topics, or between replicas that publish to the same topic.
 *
 * So alice's replica may publish change 7 of #general while bob's change 8 is on its way already; a reader gets 8
 * first, sees that 7 is missing, and asks the store. Nothing that lasts may depend on the bus alone.
 *
 * A bus may consist of several shards, each with topics of its own, as a Redis Cluster does. They come and go one by
 * one: while one is away news on its topics is lost, and that on the others travels as before.
 */
export type EventBus = {
  publish(topic: string, payload: string): void
  /** Returns what ends the subscription. Handlers must not throw. */
  subscribe(topic: string, handler: (payload: string) => void): Promise<() => void>
  /** Called whenever news may have been lost, after the bus, or the shard that was away, is up again. */
  onGap(handler: () => void): void
  /**
   * Whether news on every topic travels just now: false while any shard is away. A shard that is frozen rather than dead
   * is noticed within a few seconds.
   */
  isUp(): boolean
  state(): BusState
  close(): Promise<void>
}

/** The bus in numbers, as metrics show it. */
export type BusState = {
  /** One for an engine that is not divided; also before it is known how many there are. */
  shards: number
  shardsUp: number
  /** Topics that this replica listens to. */
  topics: number
}
