import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EventBus } from './event-bus.ts'

/** An engine under test: replicas on one bus, as many as a test asks for. */
export type BusEngine = {
  /** A bus of one more replica, which is up. Engines that live in one process give the same one again. */
  connect(): Promise<EventBus>
  stop(): Promise<void>
}

/** What `event-bus.ts` promises of every engine. */
export function describeEventBus(name: string, start: () => Promise<BusEngine>): void {
  describe(`${name}, as every bus`, () => {
    let engine: BusEngine
    let here: EventBus
    let there: EventBus
    beforeAll(async () => {
      engine = await start()
      here = await engine.connect()
      there = await engine.connect()
    })
    afterAll(() => engine.stop())

    let topics = 0
    const newTopic = () => `topic:${++topics}`

    let lastWords = 0

    /** Publishes a last word and waits until it has come: by then everything before it has come, or never will. */
    async function settle(topic: string, from: EventBus, heard: string[]): Promise<string[]> {
      const lastWord = `last word ${++lastWords}`
      from.publish(topic, lastWord)
      await expect.poll(() => heard.at(-1), { interval: 2 }).toBe(lastWord)
      return heard.filter((payload) => !payload.startsWith('last word'))
    }

    const collect = async (bus: EventBus, topic: string) => {
      const heard: string[] = []
      const unsubscribe = await bus.subscribe(topic, (payload) => heard.push(payload))
      return { heard, unsubscribe }
    }

    test('is up, with all its shards', () => {
      expect([here.isUp(), there.isUp()]).toEqual([true, true])
      const { shards, shardsUp } = there.state()
      expect(shards).toBeGreaterThan(0)
      expect(shardsUp).toBe(shards)
    })

    test('a handler gets each payload once, as it was published, in the order in which a replica published it', async () => {
      const topic = newTopic()
      const [near, far] = [await collect(here, topic), await collect(there, topic)]
      const payloads = Array.from({ length: 2_000 }, (_, place) => `${place} 마루 🪵 \u2028 "\\" ${'x'.repeat(place % 50)}`)
      for (const payload of payloads) here.publish(topic, payload)
      expect(await settle(topic, here, near.heard)).toEqual(payloads)
      await expect.poll(() => far.heard.length).toBe(payloads.length + 1)
      expect(far.heard.slice(0, -1)).toEqual(payloads)
    })

    test('payloads of 64 KB come whole', async () => {
      const topic = newTopic()
      const { heard } = await collect(there, topic)
      const payload = '가'.repeat(64 * 1024)
      here.publish(topic, payload)
      expect(await settle(topic, here, heard)).toEqual([payload])
    })

    test('everything published once subscribe has resolved arrives', async () => {
      for (let round = 0; round < 50; round++) {
        const topic = newTopic()
        const { heard } = await collect(there, topic)
        here.publish(topic, `${round}`)
        expect(await settle(topic, here, heard)).toEqual([`${round}`])
      }
    })

    test('a topic is heard by those who subscribed to it, and by nobody else', async () => {
      const [one, other] = [newTopic(), newTopic()]
      const [first, second] = [await collect(there, one), await collect(there, other)]
      here.publish(one, 'for one')
      here.publish(other, 'for the other')
      expect(await settle(one, here, first.heard)).toEqual(['for one'])
      expect(await settle(other, here, second.heard)).toEqual(['for the other'])
    })

    test('handlers of one topic come and go without the others noticing, the same function twice included', async () => {
      const topic = newTopic()
      const heard: string[] = []
      const same = (payload: string) => heard.push(payload)
      const [endFirst, endSecond] = [await there.subscribe(topic, same), await there.subscribe(topic, same)]
      const stays = await collect(there, topic)
      const leaves = await there.subscribe(topic, () => leaves())
      here.publish(topic, 'to all')
      expect(await settle(topic, here, stays.heard)).toEqual(['to all'])
      expect(heard).toHaveLength(4)
      endFirst()
      endFirst()
      here.publish(topic, 'to one less')
      expect(await settle(topic, here, stays.heard)).toEqual(['to all', 'to one less'])
      expect(heard).toHaveLength(6)
      endSecond()
      here.publish(topic, 'to who stays')
      expect(await settle(topic, here, stays.heard)).toEqual(['to all', 'to one less', 'to who stays'])
      expect(heard).toHaveLength(6)
    })

    test('who has unsubscribed hears nothing more, and who subscribes again hears anew', async () => {
      const topic = newTopic()
      const first = await collect(there, topic)
      first.unsubscribe()
      const witness = await collect(here, topic)
      here.publish(topic, 'to the witness')
      await settle(topic, here, witness.heard)
      const second = await collect(there, topic)
      here.publish(topic, 'again')
      expect(await settle(topic, here, second.heard)).toEqual(['again'])
      expect(first.heard).toEqual([])
    })

    test('a topic may have any name, and a payload be empty', async () => {
      const names = ['a b', '{tag}:1', '}{', '{}', '채널:마루 🪵', '\r\n', 'x'.repeat(1_000)].map((name) => name + newTopic())
      const heard = await Promise.all(names.map((name) => collect(there, name)))
      for (const name of names) here.publish(name, '')
      for (const [place, name] of names.entries()) expect(await settle(name, here, heard[place]!.heard)).toEqual([''])
    })

    test('who comes second to a topic is told no sooner than the first that it is listened to', async () => {
      for (let round = 0; round < 50; round++) {
        const topic = newTopic()
        const first = collect(there, topic)
        const { heard } = await collect(there, topic)
        here.publish(topic, `${round}`)
        expect(await settle(topic, here, heard)).toEqual([`${round}`])
        await first
      }
    })

    test('who leaves and comes back in one breath is heard', async () => {
      for (let round = 0; round < 50; round++) {
        const topic = newTopic()
        const first = await collect(there, topic)
        first.unsubscribe()
        const second = collect(there, topic)
        const third = collect(there, topic)
        ;(await second).unsubscribe()
        here.publish(topic, `${round}`)
        expect(await settle(topic, here, (await third).heard)).toEqual([`${round}`])
        expect(first.heard).toEqual([])
      }
    })

    test('ten thousand topics at once are all heard, and leave nothing behind', async () => {
      const before = there.state().topics
      const many = Array.from({ length: 10_000 }, newTopic)
      const subscriptions = await Promise.all(many.map((topic) => collect(there, topic)))
      expect(there.state()).toMatchObject({ topics: before + 10_000 })
      for (const topic of many) here.publish(topic, topic)
      await expect.poll(() => subscriptions.filter(({ heard }) => heard.length > 0).length, { timeout: 10_000 }).toBe(10_000)
      expect(subscriptions.map(({ heard }) => heard)).toEqual(many.map((topic) => [topic]))
      for (const { unsubscribe } of subscriptions) unsubscribe()
      expect(there.state().topics).toBe(before)
    })

    test('publishing to nobody, and from within a handler, does no harm', async () => {
      here.publish(newTopic(), 'nobody listens')
      const [question, answer] = [newTopic(), newTopic()]
      await there.subscribe(question, (payload) => there.publish(answer, `re: ${payload}`))
      const { heard } = await collect(here, answer)
      here.publish(question, 'how are you')
      await expect.poll(() => heard).toEqual(['re: how are you'])
    })

    test('once closed it takes what is published, and carries nothing', async () => {
      const closing = await engine.connect()
      await closing.close()
      expect(() => closing.publish(newTopic(), 'nobody carries this')).not.toThrow()
    })
  })
}
