import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddReactionDocument,
  ChannelDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  PinMessageDocument,
  RemoveMemberDocument,
  SetMemberRoleDocument,
  UpdateChannelDocument,
} from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { decodeCursor } from '../fanout/cursor.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { createRandom } from '../testing/random.ts'
import { storedMessages } from '../testing/stored-messages.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { createCatchUp } from './catch-up.ts'
import { type Change, changesSince, type Position } from './changes.ts'

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
let id: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
  id = channelSnowflake(channelId)
})

const userId = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId

async function head(): Promise<Position> {
  const { channel } = await alice.client.request(ChannelDocument, { id: channelId })
  const { change, seq } = decodeCursor(channel!.cursor)!
  return { change, seq }
}

const edit = (messageId: string, content: string) => alice.client.request(EditMessageDocument, { input: { messageId, content } })
const since = async (after: Position, limit = 100) => (await changesSince(app.app.database, id, after, limit, userId(alice)))!

const tell = (change: Change) => {
  if (change.type === 'message') return `${change.kind} ${change.message.content}`
  if (change.type === 'channel') return 'channel'
  const who = change.member.userId === userId(alice) ? 'alice' : change.member.userId === userId(bob) ? 'bob' : 'nobody'
  return `${who} is ${change.member.leftAt === null ? change.member.role : 'gone'}`
}

describe('what changed since', () => {
  test('is each thing once, in its latest state, in the order of the changes', async () => {
    const old = await say(alice, channelId, 'old')
    const pinned = await say(alice, channelId, 'pinned')
    const loved = await say(alice, channelId, 'loved')
    const gone = await say(alice, channelId, 'gone')
    const after = await head()
    const fresh = await say(alice, channelId, 'new')
    await edit(old.id, 'edited')
    await alice.client.request(PinMessageDocument, { messageId: pinned.id })
    await edit(old.id, 'edited again')
    await say(alice, channelId, 'answer', { replyToId: pinned.id })
    await alice.client.request(AddReactionDocument, { messageId: loved.id, emoji: '❤️' })
    await alice.client.request(DeleteMessageDocument, { messageId: gone.id })
    await alice.client.request(SetMemberRoleDocument, { channelId, userId: bob.id, role: 'ADMIN' })
    await alice.client.request(UpdateChannelDocument, { input: { channelId, name: 'cake' } })
    await edit(fresh.id, 'new and edited')
    await alice.client.request(UpdateChannelDocument, { input: { channelId, name: 'coffee' } })
    await alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })

    const page = await since(after)
    expect(page.changes.map(tell)).toEqual([
      'EDITED edited again',
      'CREATED answer',
      'ENRICHED pinned',
      'REACTIONS_CHANGED loved',
      'DELETED ',
      'CREATED cake',
      'CREATED new and edited',
      'channel',
      'CREATED coffee',
      'bob is gone',
      'CREATED ',
    ])
    expect(page).toMatchObject({ complete: true, member: true, position: await head() })
    expect((await since(page.position)).changes).toEqual([])
    expect((await changesSince(app.app.database, id, after, 100, userId(bob)))!.member).toBe(false)
  })

  test('is nothing of a channel that does not exist', async () => {
    expect(await changesSince(app.app.database, '42', { change: 0, seq: 0 }, 10, userId(alice))).toBeNull()
  })

  test('starts from nothing with everything that is left', async () => {
    await say(alice, channelId, 'one')
    expect((await since({ change: 0, seq: 0 })).changes.map(tell)).toEqual(['alice is OWNER', 'bob is MEMBER', 'CREATED one'])
  })

  test('is where the reader stood, when it was read, and not what comes while it reads on', async () => {
    const messages = []
    for (const n of [1, 2, 3, 4, 5, 6]) messages.push(await say(alice, channelId, `${n}`))
    const catchUp = createCatchUp(2)
    const next = async (position: Position) => (await changesSince(app.app.database, id, position, 2, userId(alice), catchUp))!
    const first = await next({ change: 2, seq: 0 })
    expect(first.changes.map(tell)).toEqual(['CREATED 1', 'CREATED 2'])
    expect(first.complete).toBe(false)
    // One that was told, one that would have been on the next page, and one beyond.
    for (const nth of [0, 2, 5]) await edit(messages[nth]!.id, `${nth + 1} edited`)
    const told: string[] = []
    for (let page = first; !page.complete; ) {
      page = await next(page.position)
      told.push(...page.changes.map(tell))
    }
    expect(told).toEqual(['CREATED 4', 'CREATED 5', 'EDITED 1 edited', 'CREATED 3 edited', 'CREATED 6 edited'])
  })
})

test('paging while others write: each message is CREATED when it is first told, none is left out, none comes twice in one version', async () => {
  const random = createRandom(Number(process.env.FUZZ_SEED ?? 3))
  for (let round = 0; round < 8; round++) {
    channelId = await newChannel(alice, {}, [bob])
    id = channelSnowflake(channelId)
    const said: string[] = []
    const old = new Set<string>()
    const write = async () => {
      if (random.chance(0.5) && said.length > 0) await edit(random.pick(said), `edited ${random.next()}`)
      else said.push((await say(alice, channelId, 'said')).id)
    }
    for (let n = 0; n < 10; n++) await write()
    for (const row of await app.app.database.run<{ id: string }>('select id from messages where channel_id = $1', [id])) old.add(row.id)
    let position = await head()
    const start = position.change
    const catchUp = createCatchUp(start)
    for (let n = 0; n < 30; n++) await write()

    const told = new Map<string, number>()
    let last = start
    for (;;) {
      const page = (await changesSince(app.app.database, id, position, 1 + random.below(5), userId(alice), catchUp))!
      for (const change of page.changes) {
        expect(change.change).toBeGreaterThan(last)
        last = change.change
        if (change.type !== 'message') continue
        const isNew = !told.has(change.message.id) && !old.has(change.message.id)
        expect(change.kind).toBe(isNew ? 'CREATED' : 'EDITED')
        expect(change.message.version).toBeGreaterThan(told.get(change.message.id) ?? 0)
        told.set(change.message.id, change.message.version)
      }
      position = page.position
      if (page.complete) break
      if (random.chance(0.6)) await write()
    }
    const latest = await app.app.database.run<{ id: string; version: number }>(`select id, version from ${storedMessages} where channel_id = $1`, [id])
    const changed = latest.filter((row) => row.version > start)
    expect(told).toEqual(new Map(changed.map((row) => [row.id, row.version])))
  }
})
