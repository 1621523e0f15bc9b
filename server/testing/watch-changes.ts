import { expect } from 'vitest'
import { decodeChanges } from '../fanout/channel-source.ts'
import { topics } from '../fanout/topics.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import type { Change } from '../message-store/changes.ts'
import type { Replica, TestApp } from './test-app.ts'

/** The Snowflake of a channel whose id clients know. */
export function channelSnowflake(id: string): string {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Channel') throw new Error(`Not the id of a channel: ${id}`)
  return parsed.channelId
}

/** What was announced of one channel, on all of these replicas. */
export type WatchedChanges = {
  /** In the order in which it was announced. */
  changes: Change[]
  /**
   * Checks that each change of the channel since it was made was announced once, by number: 1, 2, 3 … without holes, as
   * far as the channel's own counter has come. `from` is the first that was announced while watching.
   */
  expectComplete(from: number): Promise<void>
}

/** Watches what replicas announce of a channel, each on its own bus. */
export async function watchChanges(app: TestApp, replicas: readonly Replica[], channelId: string): Promise<WatchedChanges> {
  const id = channelSnowflake(channelId)
  const changes: Change[] = []
  for (const { app: watched } of replicas) {
    await watched.bus.subscribe(topics.channel(id), (payload) => {
      const announced = decodeChanges(payload, 0)
      if (typeof announced !== 'number') changes.push(...announced)
    })
  }
  return {
    changes,
    async expectComplete(from) {
      const [row] = await app.app.database.run<{ last_change: number }>('select last_change from channels where id = $1', [id])
      const expected = Array.from({ length: row!.last_change - from + 1 }, (_, nth) => from + nth)
      await expect.poll(() => changes.map(({ change }) => change).toSorted((a, b) => a - b)).toEqual(expected)
    },
  }
}
