import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  ChannelDocument,
  InboxDocument,
  MessagesDocument,
  RemoveMemberDocument,
  SetTypingDocument,
  TypingDocument,
} from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { startRedisCluster } from '../testing/redis-cluster.ts'
import { startRedis } from '../testing/redis.ts'
import { listen, type Listening, subscriptions } from '../testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../testing/test-app.ts'
import { headIntervalMs } from './feed.ts'

/** What carries the bus, and may break. */
type Breakable = {
  url: string
  kill(): Promise<unknown>
  start(): Promise<unknown>
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

async function startCluster(): Promise<Breakable> {
  const { url, masters, isWhole, stop } = await startRedisCluster()
  const all = (act: 'kill' | 'start') => Promise.all(masters.map((master) => master[act]()))
  return {
    url,
    kill: () => all('kill'),
    start: () => all('start').then(isWhole),
    freeze: () => masters.forEach((master) => master.freeze()),
    thaw: () => masters.forEach((master) => master.thaw()),
    stop,
  }
}

describe.each<[string, () => Promise<Breakable>]>([
  ['one Redis', startRedis],
  ['a Redis Cluster', startCluster],
])('replicas on %s', (_name, start) => {
  let redis: Breakable
  let app: TestApp
  let second: Replica
  let alice: Person
  let bob: Person
  let channelId: string
  const open: Listening<unknown>[] = []
  beforeAll(async () => {
    redis = await start()
    app = await startTestApp({ REDIS_URL: redis.url })
    second = await app.addReplica()
    ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  })
  afterAll(async () => {
    await app.stop()
    await redis.stop()
  })
  const busIsUp = () => expect.poll(() => [app.app.bus.isUp(), second.app.bus.isUp()], { timeout: 5_000 }).toEqual([true, true])
  beforeEach(async () => {
    await busIsUp()
    channelId = await newChannel(alice, {}, [bob])
    return () => open.splice(0).forEach((listening) => listening.stop())
  })

  /** Bob, on the other replica, listens to alice's channel: what he hears, and when. */
  async function follow() {
    const heard: { content: string; at: number }[] = []
    const note = (content: string) => heard.push({ content, at: performance.now() })
    const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
    open.push(listen(second, bob, MessagesDocument, { channelId, after: channel!.cursor }, ({ messages }) => note(messages.message.content)))
    await expect.poll(() => subscriptions(second, 'messages')).toBe(1)
    return heard
  }

  test('what happens on one replica is heard on the other, live and in order', async () => {
    const heard = await follow()
    const inbox = listen(second, bob, InboxDocument, {})
    open.push(inbox)
    await expect.poll(() => inbox.events.length).toBe(1)
    const delays: number[] = []
    for (let nth = 0; nth < 20; nth++) {
      await say(alice, channelId, `${nth}`)
      const sent = performance.now()
      await expect.poll(() => heard.length, { interval: 2 }).toBe(nth + 1)
      delays.push(heard[nth]!.at - sent)
    }
    expect(heard.map(({ content }) => content)).toEqual(Array.from({ length: 20 }, (_, nth) => `${nth}`))
    // Not by comparing heads, which takes half a second on average.
    expect(delays.toSorted((a, b) => a - b)[10]).toBeLessThan(50)
    await expect.poll(() => inbox.events.length).toBe(21)
  })

  test('with both replicas sending at once each reader hears all of it in one order', async () => {
    const heard = await follow()
    const there = second.client(bob.token)
    await Promise.all(
      Array.from({ length: 100 }, (_, nth) => say(nth % 2 === 0 ? alice : { ...bob, client: there }, channelId, `${nth}`)),
    )
    await expect.poll(() => heard.length).toBe(100)
    const stored = await app.app.database.run<{ content: string }>(
      'select m.content from messages m join channels c on c.id = m.channel_id where c.last_seq = 100 order by m.seq',
      [],
    )
    expect(heard.map(({ content }) => content)).toEqual(stored.map(({ content }) => content))
  })

  test('typing crosses replicas, and so does the end of a membership', async () => {
    const heard = await follow()
    const typing = listen(second, bob, TypingDocument, { channelId })
    open.push(typing)
    await expect.poll(() => subscriptions(second, 'typing')).toBe(1)
    await alice.client.request(SetTypingDocument, { channelId, typing: true })
    await expect.poll(() => typing.events).toMatchObject([{ typing: { user: { id: alice.id }, typing: true } }])
    await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
    await say(alice, channelId, 'behind his back')
    expect(await typing.ended).toBe('FORBIDDEN')
    expect(await (open[0] as Listening<unknown>).ended).toBe('FORBIDDEN')
    expect(heard).toEqual([])
  })

  test('with Redis frozen sends wait for nobody, and streams lag by no more than the comparison of heads', async () => {
    const heard = await follow()
    redis.freeze()
    try {
      for (let nth = 0; nth < 5; nth++) {
        const before = performance.now()
        await say(alice, channelId, `frozen ${nth}`)
        const sent = performance.now()
        // The deadline of a command to Redis is two seconds; none is waited for.
        expect(sent - before).toBeLessThan(1_000)
        await expect.poll(() => heard.length, { timeout: 5_000, interval: 5 }).toBe(nth + 1)
        expect(heard[nth]!.at - sent).toBeLessThan(2 * headIntervalMs)
      }
    } finally {
      redis.thaw()
    }
    expect(heard.map(({ content }) => content)).toEqual([0, 1, 2, 3, 4].map((nth) => `frozen ${nth}`))
  })

  test('with Redis killed sends go on, and streams lag by no more than the comparison of heads; then it is live again', async () => {
    const heard = await follow()
    await redis.kill()
    await expect.poll(() => second.app.bus.isUp()).toBe(false)
    for (let nth = 0; nth < 3; nth++) {
      await say(alice, channelId, `dead ${nth}`)
      const sent = performance.now()
      await expect.poll(() => heard.length, { timeout: 5_000, interval: 5 }).toBe(nth + 1)
      expect(heard[nth]!.at - sent).toBeLessThan(2 * headIntervalMs)
    }
    // Whoever comes while Redis is away is served, too.
    const late = listen(second, alice, MessagesDocument, { channelId, after: null })
    open.push(late)
    await expect.poll(() => subscriptions(second, 'messages')).toBe(2)
    await say(alice, channelId, 'for latecomers')
    await expect.poll(() => late.events.length, { timeout: 5_000 }).toBe(1)

    await redis.start()
    await busIsUp()
    await expect.poll(async () => {
      const before = heard.length
      await say(alice, channelId, 'live again?')
      const sent = performance.now()
      await expect.poll(() => heard.length, { timeout: 5_000, interval: 2 }).toBe(before + 1)
      return heard.at(-1)!.at - sent
    }, { timeout: 10_000 }).toBeLessThan(50)
    expect(heard.map(({ content }) => content).slice(0, 4)).toEqual(['dead 0', 'dead 1', 'dead 2', 'for latecomers'])
    await expect.poll(() => late.events.length).toBe(heard.length - 3)
  })
})
