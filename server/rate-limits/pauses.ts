/**
 * Times that must pass between one thing and the next, each under a name: who wrote a message in slow mode writes the next
 * one later.
 *
 * What every engine guarantees:
 * - Of those who begin under one name at the same time, one begins; the others are told how long they have to wait. Who
 *   begins again as the same holder, because an answer was lost, has begun already.
 * - The length counts as it is now, and not as it was when the pause began: one that was made shorter ends sooner.
 * - No call rejects, and each answers within `answerMs` and a little.
 *
 * What none guarantees: that a pause outlives the engine's memory, or counts in other processes while the engine on Redis is
 * away. Then each process goes by what it has seen itself.
 */
export type Pauses = {
  /** Begins a pause: 'begun', 'own' where this holder had begun it, or the milliseconds that are left of another's. */
  begin(name: string, holder: string, ms: number): Promise<'begun' | 'own' | number>
  /** Takes back a pause of this holder's. Neither waits nor fails. */
  end(name: string, holder: string): void
  /** Milliseconds left of a pause of this length; 0 where there is none. */
  left(name: string, ms: number): Promise<number>
}
