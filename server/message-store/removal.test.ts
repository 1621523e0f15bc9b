import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  AddMembersDocument,
  AddReactionDocument,
  EditMessageDocument,
  MaruClientError,
  PinMessageDocument,
  RemoveMemberDocument,
  SendMessageDocument,
} from '../../client-sdk/index.ts'
import { history, newChannel, say } from '../../schema/testing/operations.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { countLockWaits } from '../testing/lock-waits.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { hashOf } from './send.ts'

let app: TestApp
let second: Replica
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  second = await app.addReplica()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
})

const code = (error: unknown) => (error instanceof MaruClientError ? error.code : error)
const outcome = (answer: Promise<unknown>) => answer.then(() => 'done', code)
const remove = () => alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
const add = () => alice.client.request(AddMembersDocument, { channelId, userIds: [bob.id] })

/**
 * Holds the channel's row from outside, as a slow transaction would, and lets it go once `waiting` statements wait for
 * it, one after the other in the order in which they came.
 */
async function holdChannel() {
  const sql = postgres(app.databaseUrl, { max: 1, onnotice: () => {} })
  await sql.unsafe('begin')
  await sql.unsafe('select from channels where id = $1 for no key update', [channelSnowflake(channelId)])
  return {
    untilWaiting: (count: number) => expect.poll(() => countLockWaits(app.app.database), { interval: 10 }).toBe(count),
    async release() {
      await sql.unsafe('commit')
      await sql.end()
    },
  }
}

test('of a send and a removal that wait for the channel the first in line comes first', async () => {
  const held = await holdChannel()
  const sendFirst = outcome(say(bob, channelId, 'still here'))
  await held.untilWaiting(1)
  const removal = remove()
  await held.untilWaiting(2)
  await held.release()
  expect(await sendFirst).toBe('done')
  await removal
  expect((await history(alice, channelId)).map(({ kind, content }) => `${kind} ${content}`)).toEqual(['USER still here', 'MEMBER_LEFT '])
})

test('whatever was on its way when its author was put out is refused, and nothing of it is stored', async () => {
  const { id } = await say(bob, channelId, 'before')
  const held = await holdChannel()
  const removal = remove()
  await held.untilWaiting(1)
  const late = [
    say(bob, channelId, 'too late'),
    second.client(bob.token).request(SendMessageDocument, { input: { channelId, content: 'too late there', idempotencyKey: 'late' } }),
    second.client(bob.token).request(EditMessageDocument, { input: { messageId: id, content: 'too late to edit' } }),
    // These two wait for the removal to have had its turn, before they take a connection.
    bob.client.request(AddReactionDocument, { messageId: id, emoji: '👋' }),
    bob.client.request(PinMessageDocument, { messageId: id }),
  ].map(outcome)
  await held.untilWaiting(4)
  await held.release()
  await removal
  expect(await Promise.all(late)).toEqual(late.map(() => 'FORBIDDEN'))
  const messages = await history(alice, channelId)
  expect(messages.map(({ content, reactions, pinnedAt }) => [content, reactions, pinnedAt])).toEqual([['before', [], null], ['', [], null]])
  const { userId: author } = parseGlobalId(bob.id) as { userId: string }
  const keys = await app.app.database.run('select from send_keys where key_hash = $1', [hashOf(`${author} late`)])
  expect(keys).toEqual([])
})

test('sends that race removals and returns on two replicas: stored is what was sent while its author was in', async () => {
  const clients = [bob.client, second.client(bob.token)]
  let stops = false
  const outcomes: string[] = []
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    for (let number = 0; !stops; number++) {
      const input = { channelId, content: `${writer}.${number}`, idempotencyKey: `${writer}.${number}` }
      const result = await outcome(clients[number % 2]!.request(SendMessageDocument, { input }))
      outcomes.push(`${result} ${input.content}`)
    }
  })
  for (let round = 0; round < 15; round++) {
    await remove()
    await add()
  }
  stops = true
  await Promise.all(writers)

  const rows = await app.app.database.run<{ kind: string; content: string; author: boolean }>(
    `select kind, content, seq from messages where channel_id = $1 order by seq`,
    [channelSnowflake(channelId)],
  )
  let isIn = true
  const written: string[] = []
  for (const row of rows) {
    if (row.kind === 'MEMBER_LEFT') isIn = false
    // Joining is announced just before it happens, within the same commit.
    else if (row.kind === 'MEMBER_JOINED') isIn = true
    else {
      expect(isIn).toBe(true)
      written.push(row.content)
    }
  }
  const acknowledged = outcomes.filter((result) => result.startsWith('done ')).map((result) => result.slice(5))
  expect(written.toSorted()).toEqual(acknowledged.toSorted())
  expect(new Set(outcomes.map((result) => result.split(' ')[0]))).toEqual(new Set(['done', 'FORBIDDEN']))
  expect(acknowledged.length).toBeGreaterThan(10)
})
