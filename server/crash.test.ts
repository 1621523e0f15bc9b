import { afterAll, beforeAll, expect, test } from 'vitest'
import { crashRounds } from './testing/crash.ts'
import { discardDataDir, killAll, makeDataDir } from './testing/server-process.ts'

let dataDir: string
beforeAll(async () => {
  dataDir = await makeDataDir()
})
afterAll(async () => {
  killAll()
  await discardDataDir(dataDir)
})

test('what was acknowledged is there after every kind of kill, in order, once; and a listener misses nothing', async () => {
  const rounds = await crashRounds({ dataDir, victims: ['both', 'process', 'postgres'] })
  expect(rounds).toHaveLength(3)
  for (const { acknowledged, readyMs } of rounds) {
    expect(acknowledged).toBeGreaterThan(0)
    // A replay of the log and, after a kill of the process alone, the end of the Postgres that it left behind. The
    // bound is for a machine that runs the other tests beside it.
    expect(readyMs).toBeLessThan(20_000)
  }
  // Sends were under way when it happened.
  expect(rounds.reduce((sum, round) => sum + round.unknown, 0)).toBeGreaterThan(0)
  expect(rounds.at(-1)!.messages).toBeGreaterThanOrEqual(rounds.reduce((sum, round) => sum + round.acknowledged, 0))
}, 120_000)
