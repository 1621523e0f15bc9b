/**
 * Carries news between replicas, and within one. It is a hint and never the truth: the store is.
 *
 * What every engine guarantees:
 * - A handler gets each payload at most once, as it was published.
 * - Payloads that one replica publishes to one topic arrive in that order.
 * - `subscribe` resolves once everything published from then on will arrive, as far as the bus is up.
 * - `publish` neither waits for anybody nor throws: news that cannot be delivered is lost, and counted.
 *
 * What none guarantees:
 * - That news arrives. After a break `onGap` handlers are told that anything may have been missed.
 * - Any order between topics, or between replicas that publish to the same topic.
 *
 * So alice's replica may publish change 7 of #general while bob's change 8 is on its way already; a reader gets 8
 * first, sees that 7 is missing, and asks the store. Nothing that lasts may depend on the bus alone.
 */
export type EventBus = {
  publish(topic: string, payload: string): void
  /** Returns what ends the subscription. Handlers must not throw. */
  subscribe(topic: string, handler: (payload: string) => void): Promise<() => void>
  /** Called whenever news may have been lost, after the bus is up again. */
  onGap(handler: () => void): void
  /** Whether news travels just now. */
  isUp(): boolean
  close(): Promise<void>
}
