import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { InboxDocument, PresenceDocument, UserDocument } from '../../../client-sdk/index.ts'
import { newChannel } from '../../../schema/testing/operations.ts'
import { presenceGraceMs } from '../../domain/presence.ts'
import { listen } from '../../testing/listen.ts'
import { type RedisServer, startRedis } from '../../testing/redis.ts'
import { discardDataDir, makeDataDir, type ServerProcess, startServer } from '../../testing/server-process.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../../testing/test-app.ts'

// They wait for as long as people do, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

/** The promise is ten seconds; whoever is busy may be a little late. */
const graceMs = presenceGraceMs + 5_000

/** What the replicas of a test sign tokens with. */
const env = { JWT_SECRET: 'the same for all replicas of a test' }

let redis: RedisServer
let app: TestApp
let second: Replica
/** Processes of their own, to be killed. */
let victims: ServerProcess[]
let dataDirs: string[]
let alice: Person
beforeAll(async () => {
  redis = await startRedis()
  app = await startTestApp({ ...env, REDIS_URL: redis.url })
  second = await app.addReplica()
  dataDirs = await Promise.all([makeDataDir(), makeDataDir()])
  victims = dataDirs.map((dataDir) =>
    startServer({ ...env, DATABASE_URL: app.databaseUrl, REDIS_URL: redis.url, DATA_DIR: dataDir, DATABASE_POOL_SIZE: '4' }),
  )
  await Promise.all(victims.map(({ ready }) => ready))
  alice = await app.signUp('alice')
})
afterAll(async () => {
  for (const victim of victims) await victim.end('SIGKILL')
  for (const dataDir of dataDirs) await discardDataDir(dataDir)
  await app.stop()
  await redis.stop()
})

/** Somebody who shares a channel with alice, and whom no other test knows. */
async function acquaintance(name: string): Promise<Person> {
  const person = await app.signUp(name)
  await newChannel(alice, {}, [person])
  return person
}

type On = { url: string }

/** A device of somebody's, connected to a replica. Resolves once it is. */
async function connect(person: Person, on: On) {
  const device = listen(on, person, InboxDocument, {})
  await expect.poll(() => device.events.length).toBe(1)
  return device
}

/** What alice is told of people on a replica, from now on, as `username STATUS`, and when. Resolves once she was told first. */
async function watch(on: On, ...people: Person[]) {
  const told: { news: string; at: number; lastActiveAt: string | null }[] = []
  const names = new Map(people.map(({ id, username }) => [id, username]))
  const watching = listen(on, alice, PresenceDocument, { userIds: people.map(({ id }) => id) }, ({ presence: { user, presence } }) =>
    told.push({ news: `${names.get(user.id)} ${presence.status}`, at: performance.now(), lastActiveAt: presence.lastActiveAt }),
  )
  await expect.poll(() => told.length).toBe(people.length)
  const news = () => told.map((one) => one.news)
  return { told, news, stop: () => watching.stop() }
}

async function presenceOf(person: Person, on: Replica = second) {
  const { user } = await on.client(alice.token).request(UserDocument, { username: person.username })
  return user!.presence
}

const isNow = (moment: string | null) => moment !== null && Math.abs(Date.now() - Date.parse(moment)) < graceMs

const urlOf = async (server: ServerProcess): Promise<On> => ({ url: (await server.ready).url! })

// The first tests break nothing that the others need, and so wait together.
describe.concurrent('over several replicas', () => {
  test('devices on all of them count, and the last one is followed by the grace', async ({ expect }) => {
    const bob = await acquaintance('bob')
    const watching = await watch(second, bob)
    const phone = await connect(bob, app)
    await expect.poll(watching.news).toEqual(['bob OFFLINE', 'bob ONLINE'])
    const laptop = await connect(bob, second)
    phone.stop()
    await sleep(presenceGraceMs + 1_000)
    expect(await presenceOf(bob, app)).toMatchObject({ status: 'ONLINE' })
    const left = performance.now()
    laptop.stop()
    await expect.poll(watching.news, { timeout: graceMs }).toEqual(['bob OFFLINE', 'bob ONLINE', 'bob OFFLINE'])
    const { at, lastActiveAt } = watching.told.at(-1)!
    expect(at - left).toBeGreaterThanOrEqual(presenceGraceMs - 100)
    expect(isNow(lastActiveAt)).toBe(true)
    for (const on of [app, second]) expect(await presenceOf(bob, on)).toMatchObject({ status: 'OFFLINE', lastActiveAt })
    watching.stop()
  })

  test('who moves from one to another is told of by nobody', async ({ expect }) => {
    const carol = await acquaintance('carol')
    let device = await connect(carol, app)
    const watching = await watch(second, carol)
    for (let round = 0; round < 4; round++) {
      device.cut()
      await sleep(500)
      device = await connect(carol, round % 2 === 0 ? second : app)
    }
    await sleep(presenceGraceMs + 1_000)
    expect(watching.news()).toEqual(['carol ONLINE'])
    device.stop()
    watching.stop()
  })

  test('where one is killed, those who do not come back are away within the grace, with the time noted', async ({ expect }) => {
    const victim = victims[0]!
    const [dan, erin, frank] = [await acquaintance('dan'), await acquaintance('erin'), await acquaintance('frank')]
    const on = await urlOf(victim)
    for (const person of [dan, erin, frank]) await connect(person, on)
    const elsewhere = await connect(frank, app)
    const watching = await watch(second, dan, erin, frank)
    const first = watching.news().toSorted()
    expect(first).toEqual(['dan ONLINE', 'erin ONLINE', 'frank ONLINE'])
    await sleep(1_000)
    const killed = performance.now()
    await victim.end('SIGKILL')
    await sleep(2_000)
    const back = await connect(dan, second)
    await expect.poll(() => watching.news().slice(3), { timeout: graceMs }).toEqual(['erin OFFLINE'])
    const { at, lastActiveAt } = watching.told.at(-1)!
    expect(at - killed).toBeLessThan(graceMs)
    expect(isNow(lastActiveAt)).toBe(true)
    await sleep(3_000)
    expect(watching.news()).toHaveLength(4)
    for (const device of [elsewhere, back]) device.stop()
    watching.stop()
  })

  test('one that is frozen for long is taken for dead, and is there again with all who stayed with it', async ({ expect }) => {
    const victim = victims[1]!
    const grace = await acquaintance('grace')
    const device = await connect(grace, await urlOf(victim))
    const watching = await watch(second, grace)
    await sleep(1_000)
    process.kill(victim.pid, 'SIGSTOP')
    await expect.poll(watching.news, { timeout: graceMs }).toEqual(['grace ONLINE', 'grace OFFLINE'])
    process.kill(victim.pid, 'SIGCONT')
    await expect.poll(watching.news, { timeout: graceMs }).toEqual(['grace ONLINE', 'grace OFFLINE', 'grace ONLINE'])
    device.stop()
    watching.stop()
  })
})

describe('with Redis in trouble', () => {
  const isUp = () =>
    expect.poll(() => [app.app.bus.isUp(), second.app.bus.isUp()], { timeout: 15_000 }).toEqual([true, true])

  test.each([
    ['killed and started again, empty', async () => {
      await redis.kill()
      await sleep(3_000)
      await redis.start()
    }],
    ['frozen for a while', async () => {
      redis.freeze()
      await sleep(8_000)
      redis.thaw()
    }],
  ])('%s, it takes nobody for gone, delays nobody, and the truth is told within the grace', async (what, trouble) => {
    await isUp()
    const name = what.slice(0, 6)
    const [heidi, ivan, judy] = [await acquaintance(`heidi-${name}`), await acquaintance(`ivan-${name}`), await acquaintance(`judy-${name}`)]
    const [stays, goes] = [await connect(heidi, app), await connect(ivan, app)]
    const watchings = [await watch(app, heidi, ivan, judy), await watch(second, heidi, ivan, judy)]
    const first = [heidi, ivan, judy].map(({ username }, nth) => `${username} ${nth < 2 ? 'ONLINE' : 'OFFLINE'}`)
    for (const { news } of watchings) expect(news().toSorted()).toEqual(first)
    await sleep(2_000)

    const isOver = trouble()
    await sleep(500)
    goes.stop()
    const started = performance.now()
    const comes = await connect(judy, second)
    expect(performance.now() - started).toBeLessThan(3_000)
    await isOver
    const left = performance.now()
    const later = [`${judy.username} ONLINE`, `${ivan.username} OFFLINE`]
    for (const { news } of watchings) {
      await expect.poll(() => news().slice(3).toSorted(), { timeout: 2 * graceMs }).toEqual(later.toSorted())
    }
    expect(performance.now() - left).toBeLessThan(2 * graceMs)
    await sleep(5_000)
    for (const { news } of watchings) expect(news()).toHaveLength(5)
    expect(isNow((await presenceOf(ivan)).lastActiveAt)).toBe(true)
    for (const device of [stays, comes]) device.stop()
    for (const { stop } of watchings) stop()
  })
})
