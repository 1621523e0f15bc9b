import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { AddMembersDocument, EditMessageDocument, RemoveMemberDocument } from '../../../client-sdk/index.ts'
import { newChannel, say } from '../../../schema/testing/operations.ts'
import { unavailable } from '../../errors.ts'
import { createTestGroup, Device, openStreams, type Told } from '../../testing/devices.ts'
import { createRandom, type Random } from '../../testing/random.ts'
import { storedMessages } from '../../testing/stored-messages.ts'
import { type Person, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import { channelSource } from '../channel-source.ts'
import { topics } from '../topics.ts'

/** How long each seed has its way. FUZZ_SECONDS=600 is for the night. */
const seconds = Number(process.env.FUZZ_SECONDS ?? 4)

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

let channelId: string
/** The same as the store knows it. */
let id: string
beforeEach(async () => {
  channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
  id = channelSnowflake(channelId)
})

async function head() {
  const [found] = await app.app.messages.heads([id])
  return { change: found!.change, seq: found!.seq }
}

/** The newest version of every message that has changed since. */
async function changedSince(change: number) {
  const rows = await app.app.database.run<{ id: string; version: number }>(
    `select id, version from ${storedMessages} where channel_id = $1 and version > $2`,
    [id, change],
  )
  return new Map(rows.map((row) => [row.id, row.version]))
}

const versions = (told: readonly Told[]) => new Map(told.map(({ messageId, version }) => [messageId, version]))
const isRising = (numbers: readonly number[]) => numbers.every((number, nth) => nth === 0 || number > numbers[nth - 1]!)

test.each([1, 2, 3])(
  'who come, go, stall and are put out of a channel: each is told each change once, in order (seed %i)',
  async (seed) => {
    const random = createRandom(seed)
    let isCalm = false
    const late: Promise<void>[] = []
    const real = channelSource(app.app.messages)
    const away = unavailable(new Error('away'))
    const since: typeof real.since = (...args) => (isCalm || random.chance(0.9) ? real.since(...args) : Promise.reject(away))
    const streams = openStreams(
      app,
      (payload, deliver) => {
        const copies = isCalm ? 1 : random.pick([0, 1, 1, 1, 1, 2])
        for (let copy = 0; copy < copies; copy++) {
          if (isCalm || random.chance(0.6)) deliver(payload)
          else late.push(sleep(random.below(30)).then(() => deliver(payload)))
        }
      },
      { intervalMs: 60, source: { ...real, since } },
    )
    const { deps, feeds, audiences, errors } = streams
    // What this replica has written itself goes out without the bus.
    const unsubscribe = await app.app.bus.subscribe(topics.channel(id), (payload) => {
      const changes = real.decode(payload, 0)
      if (Array.isArray(changes) && random.chance(0.5)) feeds.tell(id, changes)
    })

    const start = await head()
    const groups = Array.from({ length: 3 }, (_, nth) =>
      createTestGroup(() => (random.chance(0.5) ? sleep(random.below(4 + nth * 8)) : Promise.resolve())),
    )
    /** Since which change those who are out have been out, at the latest. */
    const outSince = new Map<Person, number>()
    const faults: string[] = []
    const devices = Array.from({ length: 12 }, (_, nth) => {
      const person = [alice, bob, carol][nth % 3]!
      const device = new Device(deps, { person, channelId: id, group: groups[nth % groups.length]!, position: start })
      device.onTold = ({ change }) => {
        const since = outSince.get(person)
        if (since !== undefined && change > since) faults.push(`${person.username}, out since ${since}, is told of ${change}`)
      }
      return device
    })

    const counts = await stir({ random, devices, outSince })
    for (const what of ['sent', 'edited', 'put out', 'stalled', 'failed', 'opened']) {
      expect([what, counts[what] ?? 0]).not.toEqual([what, 0])
    }

    isCalm = true
    await Promise.all(late)
    const userIds = [...outSince.keys()].map((person) => person.id)
    outSince.clear()
    if (userIds.length > 0) await alice.client.request(AddMembersDocument, { channelId, userIds })
    for (const device of devices) {
      device.take = Device.prototype.take
      device.drain()
    }
    await say(alice, channelId, 'the end')
    const expected = await changedSince(start.change)
    for (const device of devices) {
      const last = async () => {
        // What came before may have ended it but now.
        if (device.stream === null) await device.open()
        return device.told.at(-1)?.content
      }
      await expect.poll(last).toBe('the end')
    }
    for (const { told } of devices) {
      expect(isRising(told.map(({ change }) => change))).toBe(true)
      expect(versions(told)).toEqual(expected)
      const created = told.flatMap(({ kind, messageId }) => (kind === 'CREATED' ? [messageId] : []))
      expect(created.length).toBe(new Set(created).size)
    }
    expect(faults).toEqual([])
    // All are live again, and none costs more than a place.
    await expect.poll(() => [audiences.reading, audiences.size()]).toEqual([0, groups.length])
    for (const device of devices) device.close()
    expect([audiences.reading, audiences.size(), feeds.size()]).toEqual([0, 0, 0])
    expect(errors.filter((error) => error !== away && error !== fault)).toEqual([])
    unsubscribe()
    streams.close()
  },
  (seconds + 60) * 1_000,
)

const fault = new Error('a socket that cannot be written to')

/** Makes the next thing that a device is told a failure, where it is told with others. */
function failNext(device: Device) {
  const { take } = Device.prototype
  device.take = () => {
    device.take = take
    throw fault
  }
}

/** Lets three people and their devices do all that they can, for some seconds. */
async function stir({ random, devices, outSince }: { random: Random; devices: Device[]; outSince: Map<Person, number> }) {
  const counts: Record<string, number> = {}
  const count = (what: string) => void (counts[what] = (counts[what] ?? 0) + 1)
  const sent: string[] = []
  let isOver = false

  async function write(number: number) {
    while (!isOver) {
      if (random.chance(0.25) && sent.length > 0) {
        const input = { messageId: random.pick(sent.slice(-20)), content: `edited ${number}` }
        await alice.client.request(EditMessageDocument, { input })
        count('edited')
      } else {
        sent.push((await say(alice, channelId, `${number}.${sent.length}`)).id)
        count('sent')
      }
      if (random.chance(0.3)) await sleep(random.below(20))
    }
  }

  async function comeAndGo(person: Person) {
    while (!isOver) {
      await sleep(50 + random.below(150))
      await alice.client.request(RemoveMemberDocument, { channelId, userId: person.id })
      outSince.set(person, (await head()).change)
      count('put out')
      await sleep(random.below(80))
      outSince.delete(person)
      await alice.client.request(AddMembersDocument, { channelId, userIds: [person.id] })
    }
  }

  async function use(device: Device) {
    while (!isOver) {
      await sleep(random.below(25))
      if (device.stream === null) {
        if ((await device.open()) === null) count('opened')
      } else if (random.chance(0.15)) {
        device.isFull = true
        count('stalled')
        await sleep(random.below(60))
        device.drain()
      } else if (random.chance(0.1)) device.close()
      else if (random.chance(0.03)) {
        failNext(device)
        count('failed')
      }
    }
  }

  const all = [write(1), write(2), comeAndGo(bob), comeAndGo(carol), ...devices.map(use)]
  await Promise.race([Promise.all(all), sleep(seconds * 1_000)])
  isOver = true
  await Promise.all(all)
  return counts
}
