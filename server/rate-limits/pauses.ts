/** The longest pause that there is, and as long as it is known when one began: six hours, in milliseconds. */
export const longestPauseMs = 6 * 3_600_000

/**
 * Times that must pass between one thing and the next, each under a name: who wrote a message in slow mode writes the next
 * one later.
 *
 * What every engine guarantees:
 * - Of those who begin under one name at the same time, one begins; the others are told how long they have to wait. Who
 *   begins again as the same holder, because an answer was lost, has begun already.
 * - The length counts as it is now, and not as it was when the pause began: one that was made shorter ends sooner, and one
 *   that was made longer lasts on, also if it was over, up to `longestPauseMs`.
 * - No call rejects, and each answers within `answerMs` and a little.
 *
 * What none guarantees: that a pause outlives the engine's memory, or counts in other processes while the engine on Redis is
 * away. Then each process goes by what it has seen itself.
 */
export type Pauses = {
  /** Begins a pause: 'begun', 'own' where this holder had begun it, or whose it is, and the milliseconds that are left. */
  begin(name: string, holder: string, ms: number): Promise<'begun' | 'own' | { holder: string; leftMs: number }>
  /** Takes back a pause of this holder's. Neither waits nor fails. */
  end(name: string, holder: string): void
  /** Milliseconds left of a pause of this length; 0 where there is none. */
  left(name: string, ms: number): Promise<number>
}
