import { afterAll, beforeAll, expect, test } from 'vitest'
import { AddMembersDocument, RemoveMemberDocument } from '../../../client-sdk/index.ts'
import { newChannel, say } from '../../../schema/testing/operations.ts'
import { accessChannel } from '../../domain/access.ts'
import { expectedFailure } from '../../errors.ts'
import { parseGlobalId } from '../../lib/global-id.ts'
import { recordStatements, type Statement } from '../../testing/record-statements.ts'
import { type Person, startTestApp, type TestApp } from '../../testing/test-app.ts'
import { channelSnowflake } from '../../testing/watch-changes.ts'
import type { Standings } from './standings.ts'

let app: TestApp
let standings: Standings
let alice: Person
let bob: Person
let carol: Person
let ran: Statement[]
beforeAll(async () => {
  app = await startTestApp()
  standings = app.app.streams.standings
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  ran = recordStatements(app.app.database)
})
afterAll(() => app.stop())

const idOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId
const remove = (channelId: string, person: Person) => alice.client.request(RemoveMemberDocument, { channelId, userId: person.id })
const add = (channelId: string, person: Person) => alice.client.request(AddMembersDocument, { channelId, userIds: [person.id] })

test('all who ask of one channel together are answered by one query, each as if they had asked alone', async () => {
  const ids = [await newChannel(alice, {}, [bob]), await newChannel(alice, { kind: 'PUBLIC' }, [bob, carol])]
  for (const id of ids) await say(bob, id, 'hello')
  await remove(ids[1]!, carol)
  const asked = [...ids.map(channelSnowflake), '42'].flatMap((channelId) => [alice, bob, carol, bob].map((person) => [idOf(person), channelId] as const))

  const alone = await Promise.all(
    asked.map(async ([userId, channelId]) => {
      try {
        const { channel, member } = await accessChannel(app.app.database.orm, userId, channelId, 'read')
        const head = { change: channel.lastChange, seq: channel.lastSeq, expiredChange: channel.expiredChange }
        return { kind: channel.kind, head, member: { role: member!.role, joined: { change: member!.joinedChange, seq: member!.joinedSeq } } }
      } catch (error) {
        const { code, message, field } = expectedFailure(error)!
        return { code, message, field }
      }
    }),
  )
  const start = ran.length
  const together = await Promise.all(
    asked.map(([userId, channelId]) =>
      standings.accessToRead(userId, channelId).catch((error: unknown) => {
        const { code, message, field } = expectedFailure(error)!
        return { code, message, field }
      }),
    ),
  )
  expect(together).toEqual(alone)
  const inThem = ['OWNER', 'MEMBER', 'FORBIDDEN', 'MEMBER']
  const outcomes = alone.map((answer) => ('code' in answer ? answer.code : answer.member.role))
  expect(outcomes).toEqual([...inThem, ...inThem, ...inThem.map(() => 'NOT_FOUND')])
  expect(ran.slice(start).filter(({ text }) => text.includes('standings'))).toHaveLength(3)
})

test('an answer is never older than the asking', async () => {
  const id = await newChannel(alice, {}, [bob])
  const channelId = channelSnowflake(id)
  const keepAsking = Promise.all(Array.from({ length: 200 }, () => standings.find(channelId, idOf(alice))))
  for (let round = 0; round < 5; round++) {
    await remove(id, bob)
    expect((await standings.find(channelId, idOf(bob)))!.member).toBeNull()
    await add(id, bob)
    const { member, head } = (await standings.find(channelId, idOf(bob)))!
    expect(member!.joined.change).toBe(head.change)
  }
  await keepAsking
})

test('memberships are those of now, of all who ask together in one query', async () => {
  const [tea, cake] = [await newChannel(alice, {}, [bob, carol]), await newChannel(alice, {}, [bob, carol])]
  await remove(cake, carol)
  const start = ran.length
  const found = await Promise.all([bob, carol, bob].map((person) => standings.memberships(idOf(person))))
  expect(ran.slice(start).filter(({ text }) => text.includes('memberships'))).toHaveLength(1)
  const channels = found.map((memberships) => memberships.map(({ channelId }) => channelId))
  expect(channels[0]).toEqual(expect.arrayContaining([tea, cake].map(channelSnowflake)))
  expect(channels[2]).toEqual(channels[0])
  expect(channels[1]).toContain(channelSnowflake(tea))
  expect(channels[1]).not.toContain(channelSnowflake(cake))
  expect(found[0]![0]!.joinedAt).toBeInstanceOf(Date)
  expect(await standings.memberships('42')).toEqual([])
})
