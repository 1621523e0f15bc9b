import { expect } from 'vitest'
import { parseGlobalId } from '../../server/lib/global-id.ts'
import { countLockWaits } from '../../server/testing/lock-waits.ts'
import type { TestApp } from '../../server/testing/test-app.ts'

/**
 * Runs an action that changes a channel, and a statement between its first look and the moment when it has the channel's
 * lock: as if somebody else had been a little faster. Returns what comes of the action.
 */
export async function meanwhile<Result>(
  { app }: TestApp,
  channel: string,
  act: () => Promise<Result>,
  statement: string,
  parameters: unknown[],
): Promise<Result> {
  const { channelId } = parseGlobalId(channel) as { channelId: string }
  const { done } = await app.database.transaction(async (tx) => {
    await tx.run('select from channels where id = $1 for no key update', [channelId])
    const done = act()
    // Whoever waits for it hears of its failure; until then nobody does.
    done.catch(() => {})
    await expect.poll(() => countLockWaits(app.database), { timeout: 10_000, interval: 20 }).toBe(1)
    await tx.run(statement, parameters)
    return { done }
  })
  return done
}
