import { setTimeout as sleep } from 'node:timers/promises'
import { expectedFailure } from '../../errors.ts'
import { headIntervalMs } from '../feed.ts'

/**
 * Asks the store, and asks again for as long as it is away: a stream outlives the store's absence and goes on where it
 * stood. Any other failure is thrown, and so is the store's once `isOver`.
 */
export async function patiently<T>(ask: () => Promise<T>, isOver: () => boolean): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (expectedFailure(error)?.code !== 'UNAVAILABLE' || isOver()) throw error
    }
    // At random, so that all streams of a replica do not come back at once.
    await sleep(headIntervalMs * (0.5 + Math.random()), undefined, { ref: false })
  }
}
