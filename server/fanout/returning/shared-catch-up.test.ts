import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { AddMembersDocument, AddReactionDocument, DeleteMessageDocument, EditMessageDocument, RemoveMemberDocument } from '../../../client-sdk/index.ts'
import { newChannel, say } from '../../../schema/testing/operations.ts'
import { parseGlobalId } from '../../lib/global-id.ts'
import type { Position } from '../../message-store/changes.ts'
import { createRandom, type Random } from '../../testing/random.ts'
import { follow, followAlone, headOf, openWalks, type WalksOptions, withoutSeqs } from '../../testing/shared-walks.ts'
import { storedMessages } from '../../testing/stored-messages.ts'
import { type Person, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import type { SharedWalks } from './shared-catch-up.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

const idOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId

let channelId: string
let id: string
beforeEach(async () => {
  channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])
  id = channelSnowflake(channelId)
})

const opened: SharedWalks[] = []
afterEach(() => opened.splice(0).forEach((walks) => walks.close()))

function open(options: WalksOptions = {}) {
  const { walks, reads } = openWalks(app, options)
  opened.push(walks)
  return { walks, reads }
}

const head = () => headOf(app, id)
const comeBack = (walks: SharedWalks, person: Person, from: Position, ...more: [mustReach?: number, pause?: () => Promise<unknown>]) =>
  follow(walks, id, idOf(person), from, ...more)
const readAlone = (from: Position) => followAlone(app, id, idOf(alice), from)

async function sayMany(count: number) {
  for (let nth = 0; nth < count; nth++) await say(alice, channelId, `${nth}`)
}

const edit = (messageId: string, content: string) => alice.client.request(EditMessageDocument, { input: { messageId, content } })

/** Does something to the channel, and knows where it has stood. */
function writer(random: Random) {
  const said: string[] = []
  const positions: Position[] = []
  return {
    positions,
    async write() {
      const what = said.length === 0 ? 0 : random.next()
      if (what < 0.5) said.push((await say(alice, channelId, `said ${random.next()}`)).id)
      else if (what < 0.8) await edit(random.pick(said), `edited ${random.next()}`)
      else if (what < 0.9) await alice.client.request(AddReactionDocument, { messageId: random.pick(said), emoji: random.pick(['👍', '👎', '🎉', '❤️']) })
      else await alice.client.request(DeleteMessageDocument, { messageId: said.splice(random.below(said.length), 1)[0]! })
      positions.push(await head())
    },
  }
}

test.each([1, 2, 3, 4])('what is told in shared walks is what is told in walks of one’s own (seed %i)', async (seed) => {
  const random = createRandom(seed)
  const { write, positions } = writer(random)
  positions.push(await head())
  for (let nth = 0; nth < 60; nth++) await write()
  // In some rounds little is kept, or not for long, so that readers fall out of what is.
  const kept = random.pick<WalksOptions>([{}, { keptMs: 20 }, { maxChanges: 12 }, { maxCharacters: 40 }])
  const { walks, reads } = open({ ...kept, pageSize: 2 + random.below(9) })
  const now = await head()
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      const from = random.pick(positions)
      const slowly = () => sleep(random.chance(0.3) ? random.below(30) : 0)
      const [shared, alone] = await Promise.all([comeBack(walks, random.pick([alice, bob, carol]), from, now.change, slowly), readAlone(from)])
      expect(withoutSeqs(shared.told)).toEqual(withoutSeqs(alone.told))
      expect(shared.position.change).toBe(now.change)
      // Each cursor on the way leads on, and to nothing that was told before.
      const some = shared.told.at(random.below(shared.told.length))
      if (some === undefined) return
      const rest = await readAlone({ change: some.change, seq: some.seq })
      expect(rest.told.map(({ change }) => change)).toEqual(shared.told.map(({ change }) => change).filter((change) => change > some.change))
    }),
  )
  expect(reads.length).toBeGreaterThan(0)
})

test.each([5, 6, 7])('while others write each message is CREATED when it is first told, and none is left out (seed %i)', async (seed) => {
  const random = createRandom(seed)
  const { write, positions } = writer(random)
  positions.push(await head())
  for (let nth = 0; nth < 25; nth++) await write()
  const { walks } = open({ pageSize: 2 + random.below(6) })
  let isOver = false
  const writing = (async () => {
    for (let nth = 0; nth < 40; nth++) await write()
    isOver = true
  })()
  const readers: Promise<void>[] = []

  async function read(from: Position) {
    const person = random.pick([alice, bob, carol])
    const walk = walks.begin(id, idOf(person), from)
    const told = new Map<string, number>()
    let position = from
    let last = from.change
    for (let isLast = false; ; ) {
      // It goes on until it has seen the end of all.
      const page = await walk.read(position, isLast ? (await head()).change : 0)
      if (page === 'forbidden') throw new Error('forbidden')
      for (const change of page.changes.map(walk.tell)) {
        expect(change.change).toBeGreaterThan(last)
        last = change.change
        if (change.type !== 'message') continue
        const isNew = !told.has(change.message.id) && change.message.change > from.change
        expect([change.message.id, change.kind === 'CREATED']).toEqual([change.message.id, isNew])
        expect(change.message.version).toBeGreaterThan(told.get(change.message.id) ?? 0)
        told.set(change.message.id, change.message.version)
      }
      position = page.position
      if (page.complete && isLast) break
      isLast = isOver
      await sleep(random.below(10))
    }
    const rows = await app.app.database.run<{ id: string; version: number }>(`select id, version from ${storedMessages} where channel_id = $1`, [id])
    expect(told).toEqual(new Map(rows.flatMap((row) => (row.version > from.change ? [[row.id, row.version]] : []))))
  }

  while (!isOver) {
    readers.push(read(random.pick(positions)))
    await sleep(random.below(20))
  }
  await writing
  await Promise.all(readers)
})

test('what was touched again after one page was read is not left out by an older one', async () => {
  const from = await head()
  const said = []
  const positions: Position[] = []
  for (let nth = 1; nth <= 6; nth++) {
    said.push(await say(alice, channelId, `${nth}`))
    positions.push(await head())
  }
  const { walks } = open({ pageSize: 3 })
  // Two pages that know nothing of the edit: 3, 4, 5 and 6.
  expect((await comeBack(walks, carol, positions[1]!)).told).toHaveLength(4)
  await edit(said[1]!.id, '2, edited')
  // His first page, 1, 3, 4, is of afterwards, and the second message is not on it any more.
  const { told } = await comeBack(walks, bob, from)
  const contents = told.map((change) => (change.type === 'message' ? `${change.kind} ${change.message.content}` : change.type))
  expect(contents).toEqual([...['1', '3', '4', '5', '6'].map((content) => `CREATED ${content}`), 'CREATED 2, edited'])
})

describe('a forged cursor', () => {
  test('with too great a seq makes nobody else miss anything', async () => {
    const after = await head()
    await sayMany(8)
    const { walks } = open()
    const forged = { change: after.change, seq: after.seq + 4 }
    const [theirs, honest] = await Promise.all([comeBack(walks, bob, forged), comeBack(walks, carol, after)])
    expect(theirs.told).toHaveLength(4)
    expect(honest.told).toHaveLength(8)
    expect((await comeBack(walks, alice, after)).told).toHaveLength(8)
  })

  test('with too low a seq is told the same as everybody', async () => {
    await sayMany(8)
    const after = await head()
    await sayMany(8)
    const { walks } = open()
    const [theirs, honest] = await Promise.all([comeBack(walks, bob, { ...after, seq: 0 }), comeBack(walks, carol, after)])
    expect(withoutSeqs(theirs.told)).toEqual(withoutSeqs(honest.told))
    expect(honest.told).toHaveLength(8)
  })
})

describe('who is not a member any more', () => {
  const remove = (person: Person) => alice.client.request(RemoveMemberDocument, { channelId, userId: person.id })
  const add = (person: Person) => alice.client.request(AddMembersDocument, { channelId, userIds: [person.id] })

  test('gets nothing of a page that others get', async () => {
    const after = await head()
    await sayMany(12)
    const { walks, reads } = open()
    const [his, hers] = [bob, carol].map((person) => walks.begin(id, idOf(person), after))
    const pages = await Promise.all([his!.read(after, 0), hers!.read(after, 0)])
    expect(pages[0]).toEqual(pages[1])
    const { position } = pages[0] as { position: Position }
    await hers!.read(position, 0)
    await remove(bob)
    expect(await his!.read(position, 0)).toBe('forbidden')
    expect(await hers!.read(position, 0)).toMatchObject({ changes: expect.arrayContaining([expect.objectContaining({ change: position.change + 1 })]) })
    // Nor of one that he is the first to ask for.
    expect(await his!.read(await head(), 0)).toBe('forbidden')
    expect(reads.at(-1)!.userId).toBe(idOf(bob))
  })

  test('and is back since, gets none of what was read while they were out, but what is there now', async () => {
    const after = await head()
    await remove(bob)
    const secret = await say(alice, channelId, 'while he is out')
    const { walks, reads } = open()
    expect((await comeBack(walks, carol, after)).told.at(-1)).toMatchObject({ message: { content: 'while he is out' } })
    await alice.client.request(DeleteMessageDocument, { messageId: secret.id })
    await add(bob)
    const { told } = await comeBack(walks, bob, after)
    expect(JSON.stringify(told)).not.toContain('while he is out')
    expect(withoutSeqs(told)).toEqual(withoutSeqs((await readAlone(after)).told))
    expect(reads.map(({ userId }) => userId)).toEqual([carol, bob].map(idOf))
  })
})
