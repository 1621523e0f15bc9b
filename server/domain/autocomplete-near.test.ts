import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  AddMembersDocument, LeaveChannelDocument, MarkReadDocument, RemoveMemberDocument, SaveDraftDocument,
} from '../../client-sdk/index.ts'
import type { Database } from '../../drizzle/connection.ts'
import { openDirect } from '../../schema/testing/blocks.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { statementName } from '../observability/statements.ts'
import { explain } from '../testing/explain.ts'
import { recordStatements, type Statement } from '../testing/record-statements.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { createNear } from './autocomplete-near.ts'

let app: TestApp
let database: Database
let ran: Statement[]
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  database = app.app.database
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  ran = recordStatements(database)
})
afterAll(() => app.stop())

const idOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId
/** How often it was looked who is near since a place of what was run. */
const looked = (start: number) => ran.slice(start).filter(({ text }) => statementName(text) === 'channels near').length

test('it is remembered while one types, saves drafts and reads, and not when one comes or goes', async () => {
  const channelId = await newChannel(bob, { name: 'room' }, [alice])
  const nearOf = createNear(database)
  const names = async () => (await nearOf(idOf(alice))).channels.map(({ keys }) => keys[0])
  const start = ran.length
  expect(await names()).toEqual(['room'])
  const { seq } = await say(bob, channelId, 'hello')
  await alice.client.request(SaveDraftDocument, { channelId, content: '@b' })
  await alice.client.request(MarkReadDocument, { channelId, seq })
  expect(await names()).toEqual(['room'])
  expect(looked(start)).toBe(1)
  const other = await newChannel(bob, { name: 'other' })
  await bob.client.request(AddMembersDocument, { channelId: other, userIds: [alice.id] })
  expect((await names()).toSorted()).toEqual(['other', 'room'])
  await bob.client.request(RemoveMemberDocument, { channelId: other, userId: alice.id })
  expect(await names()).toEqual(['room'])
  await alice.client.request(LeaveChannelDocument, { channelId })
  expect(await names()).toEqual([])
  expect(looked(start)).toBe(4)
  await names()
  expect(looked(start)).toBe(4)
})

test('who was in a GROUP and has left it is not near', async () => {
  const channelId = await newChannel(alice, { name: 'both' }, [bob, carol])
  await carol.client.request(LeaveChannelDocument, { channelId })
  const { people } = await createNear(database)(idOf(alice))
  expect(people.map(({ id }) => id)).toEqual([idOf(bob)])
})

test('those one talks with are near, however many people one’s groups have', async () => {
  const dana = await app.signUp('dana')
  const groupId = await newChannel(dana, { name: 'crowd' })
  const channel = parseGlobalId(groupId) as { channelId: string }
  await database.run(
    `insert into users (id, username, display_name, created_at)
     select n, 'crowd' || n, 'crowd', now() from generate_series(1, 3000) as n`,
    [],
  )
  await database.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select $1::bigint, n, 'MEMBER', now(), n from generate_series(1, 3000) as n`,
    [channel.channelId],
  )
  const peers = [bob, carol]
  for (const peer of peers) await openDirect(dana, peer)
  const { people } = await createNear(database)(idOf(dana))
  expect(people.slice(0, 2).map(({ id }) => id).toSorted()).toEqual(peers.map(idOf).toSorted())
  expect(people).toHaveLength(2 + 2_000)
})

test('that nothing has moved is seen by what has moved since, and not by all there ever was', async () => {
  const id = idOf(alice)
  await database.run(
    `insert into account_changes (user_id, kind, channel_id, change)
     select $1::bigint, 'MEMBERSHIP', n, -n from generate_series(1, 20000) as n`,
    [id],
  )
  await database.run('analyze account_changes', [])
  const nearOf = createNear(database)
  await nearOf(id)
  const start = ran.length
  await nearOf(id)
  const [statement] = ran.slice(start)
  expect(statementName(statement!.text)).toBe('account moved')
  // Twice, as the first time the catalogue is read.
  await explain(database, statement!.text, statement!.parameters)
  expect((await explain(database, statement!.text, statement!.parameters)).blocks).toBeLessThan(20)
})
