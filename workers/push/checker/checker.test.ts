import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { killAll, makeDataDir } from '../../../server/testing/server-process.ts'
import { createTestDatabase } from '../../../server/testing/test-app.ts'
import { lies } from './lies.ts'
import { checkPushes, type Outcome } from './run.ts'
import { verify } from './verify.ts'

/** Another seed makes another story, though not the same one twice: processes run at their own pace. */
const seed = Number(process.env.PUSHES_SEED ?? 20_261_121)

let dataDir: string
let outcome: Outcome
beforeAll(async () => {
  dataDir = await makeDataDir()
  outcome = await checkPushes({
    databaseUrl: await createTestDatabase(),
    dataDir, seed, messages: 150, people: 16, workers: 2, perMinute: 12, failing: 0.25, losing: 40,
    quietMs: 1_500, paceMs: 200, drainMs: 120_000,
  })
}, 240_000)

afterAll(async () => {
  killAll()
  await rm(dataDir, { recursive: true, force: true })
})

test(`each device that is to be told is told once, whatever goes wrong, and nobody else (seed ${seed})`, () => {
  expect(outcome.findings.map(({ kind, text }) => `${kind}: ${text}`)).toEqual([])
  const { counts, ledger } = outcome
  expect(ledger.messages).toHaveLength(150)
  expect(ledger.blows.length).toBeGreaterThan(0)
  const all = ['told', 'told by a summary', 'icons looked at', 'tokens that died', 'left out: READ', 'left out: MUTED']
  for (const what of all) {
    expect([what, counts.get(what) ?? 0]).not.toEqual([what, 0])
  }
})

test.each(lies)('it would be noticed if somebody had $lie', ({ found, tell }) => {
  const { findings } = verify(outcome.ledger, tell(outcome.ledger, outcome.evidence))
  expect(findings.map(({ kind }) => kind)).toContain(found)
})
