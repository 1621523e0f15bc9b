import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'
import { type Client, isUnavailable, type Patience } from './client.ts'
import { broken, type History } from './history.ts'

/** What everybody who takes part has in common. */
export type Stage = {
  history: History
  clients: readonly Client[]
  patience: Patience
  channelIds: readonly string[]
  /** Who writes; the last of them come and go. */
  authors: readonly string[]
  comers: readonly string[]
  /** Who is a member all the time, and reads. */
  reader: string
  /** Runs one act of somebody's, and sees to it that it ends in time. */
  watch<T>(what: string, boundMs: number, act: () => Promise<T>): Promise<T>
  /** Whether nobody is to begin anything new. */
  isRoundOver(): boolean
  /** The longest that each kind of act has taken, in milliseconds. */
  longest: Map<string, number>
}

/** What was acted on is not there for now: `work` gave nothing. */
export const away = Symbol('away')

/** Does something that the store may refuse for now. Whatever else goes wrong is the store's fault. */
export async function attempt<T>(work: () => Promise<T>): Promise<T | typeof away> {
  try {
    return await work()
  } catch (error) {
    if (isUnavailable(error)) return away
    throw error
  }
}

/** A busy channel, most often; the last ones seldom. */
export function pickPopular<T>(items: readonly T[], random: Random): T {
  for (const item of items) if (random.chance(0.5)) return item
  return random.pick(items)
}

/** A moment of idleness. */
export const breathe = (random: Random, mostMs: number) => sleep(random.below(mostMs + 1))

/** How much an act may be late on a machine that has other things to do, in milliseconds. */
export const marginMs = 1_500

const lookMs = 50

/** Watches over time: that nothing takes longer than it may, as far as this process was running itself. */
export function createWatch(history: History, longest: Map<string, number>) {
  const underway = new Set<{ what: string; since: number; boundMs: number; stalled: number }>()
  let last = performance.now()
  /** For how long in all this process has not come to look at its timers. */
  let stalled = 0
  const timer = setInterval(() => {
    const now = performance.now()
    stalled += Math.max(0, now - last - lookMs)
    last = now
    for (const act of underway) {
      const took = now - act.since
      if (took < act.boundMs + marginMs + 2 * (stalled - act.stalled)) continue
      underway.delete(act)
      try {
        broken('Somebody waits for too long:', { what: act.what, waitedMs: Math.round(took), boundMs: act.boundMs })
      } catch (error) {
        history.breakOff(error)
      }
    }
  }, lookMs)
  return {
    async watch<T>(what: string, boundMs: number, work: () => Promise<T>): Promise<T> {
      const act = { what, since: performance.now(), boundMs, stalled }
      underway.add(act)
      try {
        return await work()
      } finally {
        underway.delete(act)
        longest.set(what, Math.max(longest.get(what) ?? 0, performance.now() - act.since))
      }
    },
    stop: () => clearInterval(timer),
  }
}
