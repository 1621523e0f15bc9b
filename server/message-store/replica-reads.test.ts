import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { EditMessageDocument } from '../../client-sdk/index.ts'
import { history, newChannel, say } from '../../schema/testing/operations.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../lib/embedded-postgres.ts'
import { discardDataDir, makeDataDir } from '../testing/server-process.ts'
import { type Standby, startStandby } from '../testing/standby.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'

let dataDir: string
let primary: EmbeddedPostgres
let standby: Standby
let app: TestApp
let alice: Person
let channelId: string
beforeAll(async () => {
  dataDir = await makeDataDir()
  primary = await startEmbeddedPostgres({ dataDir })
  standby = await startStandby({ url: primary.url, dataDir })
  // Every test has a schema of its own, which the standby comes to know as it does everything else.
  app = await startTestApp({ DATABASE_URL: primary.url }, (url) => {
    const { search } = new URL(url)
    return { DATABASE_REPLICA_URL: standby.url + search }
  })
  alice = await app.signUp('alice')
}, 60_000)
beforeEach(async () => {
  channelId = await newChannel(alice)
})
afterAll(async () => {
  await app.stop()
  await standby.stop()
  await primary.stop()
  await discardDataDir(dataDir)
})

const readsOf = async (outcome: string) => {
  const { values } = await app.metrics.replicaReads.get()
  return values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0
}
const contents = async () => (await history(alice, channelId)).map(({ content }) => content)

test('history is read on the replica once it has come as far', async () => {
  await say(alice, channelId, 'tea?')
  const before = await readsOf('replica')
  await expect.poll(async () => (await contents(), await readsOf('replica'))).toBeGreaterThan(before)
  expect(await contents()).toEqual(['tea?'])
})

test('while it lags nobody misses what they wrote, nor what it became', async () => {
  const { id } = await say(alice, channelId, 'first')
  await expect.poll(async () => (await contents(), await readsOf('replica'))).toBeGreaterThan(0)
  await standby.pause()
  try {
    const behind = await readsOf('behind')
    for (let nth = 0; nth < 10; nth++) {
      await say(alice, channelId, `${nth}`)
      expect((await contents()).at(-1)).toBe(`${nth}`)
    }
    await alice.client.request(EditMessageDocument, { input: { messageId: id, content: 'first, but better' } })
    expect((await contents())[0]).toBe('first, but better')
    expect(await readsOf('behind')).toBeGreaterThanOrEqual(behind + 11)
  } finally {
    await standby.resume()
  }
  const caughtUp = await readsOf('replica')
  await expect.poll(async () => (await contents(), await readsOf('replica'))).toBeGreaterThan(caughtUp)
})

test('writers and readers at once see a history that only grows', async () => {
  let stops = false
  const seen: number[] = []
  const reading = (async () => {
    while (!stops) seen.push((await history(alice, channelId)).length)
  })()
  for (let nth = 0; nth < 40; nth++) {
    await say(alice, channelId, `${nth}`)
    const known = (await history(alice, channelId)).length
    expect(known).toBeGreaterThanOrEqual(nth + 1)
  }
  stops = true
  await reading
  expect(seen).toEqual(seen.toSorted((one, other) => one - other))
})

test('one that has gone costs nobody their history, and is left alone for a while', async () => {
  await say(alice, channelId, 'still here')
  await standby.stop()
  expect(await contents()).toEqual(['still here'])
  const failed = await readsOf('failed')
  expect(failed).toBeGreaterThan(0)
  for (let nth = 0; nth < 5; nth++) expect(await contents()).toEqual(['still here'])
  expect(await readsOf('failed')).toBe(failed)
})
