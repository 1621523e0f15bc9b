import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test, vi } from 'vitest'
import { createSlowModeTurns, type Sent } from '../server/domain/slow-mode-turns.ts'
import { unavailable } from '../server/errors.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { failure, newChannel, operation, say } from './testing/operations.ts'

const setSlowMode = operation(
  'mutation Slow($channelId: ID!, $seconds: Int) { setSlowMode(channelId: $channelId, seconds: $seconds) { channel { id } } }',
)

let app: TestApp
let bob: Person
let channelId: string
afterEach(async () => {
  vi.useRealTimers()
  await app.stop()
})

/** A channel of alice's and bob's, in which he writes every so many seconds. */
async function start(seconds: number): Promise<void> {
  app = await startTestApp()
  const alice = await app.signUp('alice')
  bob = await app.signUp('bob')
  channelId = await newChannel(alice, {}, [bob])
  await alice.client.request(setSlowMode, { channelId, seconds })
}

const idOf = () => (parseGlobalId(channelId) as { channelId: string }).channelId
const bobId = async () => (await app.app.database.run<{ id: string }>(`select user_id as id from usernames where key = 'bob'`, []))[0]!.id

test.each([60_000, -60_000])('a process whose clock is %i ms off keeps to it all the same', async (off) => {
  await start(10)
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + off })
  await say(bob, channelId, 'one', { idempotencyKey: 'one' })
  for (const content of ['two', 'three']) expect((await failure(say(bob, channelId, content))).code).toBe('RATE_LIMITED')
  // What is sent again uses up nothing, and gives nothing back.
  await say(bob, channelId, 'one', { idempotencyKey: 'one' })
  expect((await failure(say(bob, channelId, 'four'))).code).toBe('RATE_LIMITED')
})

test('while nobody knows what became of a message, it has its turn, for half a minute', async () => {
  await start(21_600)
  const held = await app.app.database.reserve()
  await held.run('begin', [])
  await held.run('select from channels where id = $1 for update', [idOf()])
  const one = () => say(bob, channelId, 'one', { idempotencyKey: 'one' })
  const answer = failure(one())
  // Until the store has given it up as well, which is a second after its sender has; a session that idles loses its lock.
  for (let nth = 0; nth < 16; nth++) {
    await held.run('select 1', [])
    await sleep(500)
  }
  expect((await answer).code).toBe('UNAVAILABLE')
  await held.run('rollback', [])
  held.release()
  const { code, retryAfterMs } = await failure(say(bob, channelId, 'two'))
  expect([code, retryAfterMs! <= 30_000]).toEqual(['RATE_LIMITED', true])
  await one()
  // Now it is known.
  expect((await failure(say(bob, channelId, 'two'))).retryAfterMs).toBeGreaterThan(21_000_000)
}, 30_000)

test('one that never came into the store loses its turn then, to one of those who want it', async () => {
  await start(21_600)
  const { database, rateLimits, services } = app.app
  const turns = createSlowModeTurns({ database, pauses: rateLimits.pauses }, 500)
  const author = await bobId()
  const now = async () => 21_600
  const lost = turns.during(author, idOf(), async (turn) => {
    await turn.take({ key: 'lost', bodyHash: 'a' }, 21_600, now)
    throw unavailable(new Error('the store is away'))
  })
  await expect(lost).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  const attempt = (key: string) =>
    turns.during(author, idOf(), async (turn): Promise<Sent> => {
      await turn.take({ key, bodyHash: 'b' }, 21_600, now)
      return { outcome: 'sent', message: await services.messages.send(author, { channelId: idOf(), content: key, idempotencyKey: key }) }
    })
  await expect(attempt('early')).rejects.toMatchObject({ code: 'RATE_LIMITED' })
  await sleep(600)
  // The service itself has turns of half a minute: it is asked for nothing here but to store what has one.
  const sql = 'update channels set slow_mode_seconds = null, membership_version = membership_version + 1 where id = $1'
  await database.run(sql, [idOf()])
  const answers = await Promise.allSettled(['one', 'two', 'three'].map(attempt))
  expect(answers.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected', 'rejected'])
  // That of a message that is stored stays, however long ago it was.
  await sleep(600)
  await expect(attempt('late')).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) })
})

test('a turn is of all that a message says: another one under its key has to wait until it is known', async () => {
  await start(21_600)
  const { database, rateLimits } = app.app
  const turns = createSlowModeTurns({ database, pauses: rateLimits.pauses })
  const author = await bobId()
  const take = (bodyHash: string, then: () => Promise<Sent>) =>
    turns.during(author, idOf(), async (turn) => {
      await turn.take({ key: 'same', bodyHash }, 21_600, async () => 21_600)
      return then()
    })
  const done = Promise.withResolvers<Sent>()
  const first = take('a', () => done.promise)
  await expect(take('b', async () => expect.unreachable())).rejects.toMatchObject({ code: 'RATE_LIMITED' })
  done.reject(new Error('over'))
  await expect(first).rejects.toThrow('over')
})
