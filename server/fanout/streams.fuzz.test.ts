import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ChannelDocument } from '../../client-sdk/index.ts'
import { newChannel } from '../../schema/testing/operations.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { converse } from '../testing/conversation.ts'
import { copyInbox, fetchInbox } from '../testing/copy-of-inbox.ts'
import { copyMessages, fetchMessages } from '../testing/copy-of-messages.ts'
import { differences } from '../testing/differences.ts'
import { createRandom } from '../testing/random.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'

/** How long people talk. A few seconds find most faults; FUZZ_SECONDS=600 is for the night. */
const seconds = Number(process.env.FUZZ_SECONDS ?? 6)
/** Another seed makes another conversation, though not the same one twice: replicas run at their own pace. */
const seed = Number(process.env.FUZZ_SEED ?? 20_261_121)

let app: TestApp
/** Two replicas that do not hear each other: only the comparison of heads carries news between them. */
let replicas: Replica[]
let people: Person[]
beforeAll(async () => {
  app = await startTestApp({ MAX_SOCKETS_PER_USER: '1000' })
  replicas = [app, await app.addReplica()]
  people = await Promise.all(['alice', 'bob', 'carol', 'dave'].map((name) => app.signUp(name)))
})
afterAll(() => app.stop())

const creations = async (channelId: string) => {
  const rows = await app.app.database.run<{ id: string; change: number }>('select id, change from messages where channel_id = $1', [channelSnowflake(channelId)])
  return new Map(rows.map((row) => [row.id, row.change]))
}

test(`what devices keep from their streams is what is there (seed ${seed})`, async () => {
  const [alice, bob, carol, dave] = people as [Person, Person, Person, Person]
  const closed = await newChannel(alice, { name: 'closed' }, [bob, carol, dave])
  const open = await newChannel(alice, { kind: 'PUBLIC', name: 'open' }, [bob, carol])
  const coming = await newChannel(bob, { kind: 'PUBLIC', name: 'coming and going' })
  const { channel } = await alice.client.request(ChannelDocument, { id: closed })
  const start = channel!.cursor

  const copies = [alice, bob, bob, dave].map((person, nth) => copyMessages(person, replicas, closed, start, createRandom(seed + nth)))
  const inboxes = people.map((person, nth) => copyInbox(person, replicas, createRandom(seed + 10 + nth)))

  let isOver = false
  const talking = converse(
    {
      people,
      replicas,
      channels: [{ id: closed, isOpen: false }, { id: open, isOpen: true }, { id: coming, isOpen: true }],
      random: createRandom(seed + 100),
    },
    () => isOver,
  )
  await Promise.race([talking, sleep(seconds * 1_000)])
  isOver = true
  const done = await talking
  for (const what of ['send', 'edit', 'react', 'join']) expect([what, done[what] ?? 0]).not.toEqual([what, 0])

  const [now, created] = [await fetchMessages(alice, closed), await creations(closed)]
  await Promise.all([
    ...copies.map(async (copy) => {
      await copy.settle(() => expect.poll(() => differences(copy.kept, now), { timeout: 10_000 }).toEqual([]))
      expect(copy.faults).toEqual([])
      const before = new Set<string>()
      for (const { id, kind, connection, after } of copy.told) {
        const { messageId } = parseGlobalId(id) as { messageId: string }
        const isNew = created.get(messageId)! > after && !before.has(`${connection} ${id}`)
        before.add(`${connection} ${id}`)
        expect([id, kind === 'CREATED']).toEqual([id, isNew])
      }
    }),
    ...inboxes.map(async (inbox, nth) => {
      const there = new Map([...(await fetchInbox(people[nth]!))].map(([id, { channel }]) => [id, channel]))
      await inbox.settle(() => expect.poll(() => differences(inbox.kept, there), { timeout: 10_000 }).toEqual([]))
      expect(inbox.faults).toEqual([])
    }),
  ])
}, (seconds + 60) * 1_000)
