import { unavailable } from '../errors.ts'

export type Turns = {
  /**
   * Runs `work` once everything that came before it under the same key is over. Rejects with UNAVAILABLE, without
   * having begun, where that takes longer than `maxWaitMs`.
   */
  take<T>(key: string, work: () => Promise<T>): Promise<T>
}

/** Lets work under the same key happen one after the other, and under different keys side by side. */
export function createTurns(maxWaitMs: number): Turns {
  const last = new Map<string, Promise<unknown>>()
  return {
    async take(key, work) {
      const came = performance.now()
      const before = last.get(key)
      const run = async () => {
        if (performance.now() - came > maxWaitMs) throw unavailable(new Error('waited too long for its turn'))
        return work()
      }
      const own = before === undefined ? run() : before.then(run, run)
      last.set(key, own)
      try {
        return await own
      } finally {
        if (last.get(key) === own) last.delete(key)
      }
    },
  }
}
