import { afterAll, beforeAll, expect, test } from 'vitest'
import { discardDataDir, makeDataDir } from '../testing/server-process.ts'
import { checkStore } from '../testing/store-checker/run.ts'

let dataDir: string
beforeAll(async () => {
  dataDir = await makeDataDir()
})
afterAll(() => discardDataDir(dataDir))

/** What must have happened, or the run has shown nothing. */
const essential = [
  'batches of several', 'changes', 'changes told', 'conflicts', 'connections broken off', 'pages', 'repeated', 'twins',
  'not a member', 'sends of unknown outcome', 'sends under yesterday’s rights', 'Postgres frozen', 'Postgres killed',
]

test('whatever goes wrong, two clients with wrong clocks are told the same, and it stays so', async () => {
  // The short form of `npm run check:store`.
  const run = await checkStore({ dataDir, seed: 2026, rounds: 2, sends: 400, faults: 7, deadlineMs: 700 })
  expect(essential.filter((what) => !run.counts.has(what))).toEqual([])
  expect(run.messages).toBeGreaterThanOrEqual(run.acknowledged)
}, 120_000)
