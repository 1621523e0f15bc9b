import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { makeChannel } from '../testing/old-messages.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { type Reacted, type Sent, takeOutbox, takeReactions } from './outbox-relay.ts'
import { ensureBuckets } from './partitions.ts'
import { hashOf, sendBatch } from './send.ts'
import { snowflakeAt } from './snowflake.ts'

const author = '5'
const channels = Array.from({ length: 10 }, (_, nth) => String(100 + nth))

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 8, unavailable })
  await migrate(database)
  await ensureBuckets(database)
  for (const id of channels) await makeChannel(database, id, [author])
})
afterAll(() => database.close())
const emptyOutbox = () => takeOutbox(database, 1_000, async () => {})
beforeEach(emptyOutbox)

let sent = 0
const send = (channelId: string, count = 1) =>
  sendBatch(
    database,
    channelId,
    0,
    snowflakeAt(Date.now()),
    Array.from({ length: count }, () => {
      const content = `tea ${++sent}`
      return { authorId: author, key: content, bodyHash: hashOf(content), kind: 'USER' as const, content, root: null, mentionIds: [] }
    }),
  )

const count = async () => (await database.run<{ count: number }>('select count(*)::int as count from outbox', []))[0]!.count
const name = ({ channelId, firstSeq, lastSeq }: Sent) => `${channelId} ${firstSeq}-${lastSeq}`

test('each batch is handed over once, with the seqs that it wrote, and is gone then', async () => {
  await send('100', 3)
  await send('100')
  await send('101', 2)
  const taken: string[] = []
  expect(await takeOutbox(database, 2, async (some) => void taken.push(...some.map(name)))).toBe(2)
  expect(await takeOutbox(database, 2, async (some) => void taken.push(...some.map(name)))).toBe(1)
  expect(await takeOutbox(database, 2, async () => expect.unreachable())).toBe(0)
  expect(taken.toSorted()).toEqual(['100 1-3', '100 4-4', '101 1-2'])
  expect(await count()).toBe(0)
})

test('what a handler fails at stays, and with it what the handler has written', async () => {
  await send('102')
  const failed = takeOutbox(database, 10, async (some, tx) => {
    await tx.run('update channels set topic = $2 where id = $1', [some[0]!.channelId, 'handled'])
    throw new Error('no')
  })
  await expect(failed).rejects.toThrow('no')
  expect(await database.run(`select from channels where topic = 'handled'`, [])).toEqual([])
  expect(await takeOutbox(database, 10, async (some, tx) => {
    await tx.run('update channels set topic = $2 where id = $1', [some[0]!.channelId, 'handled'])
  })).toBe(1)
  expect(await database.run<{ id: string }>(`select id from channels where topic = 'handled'`, [])).toEqual([{ id: '102' }])
})

test('a worker killed in the midst of it leaves it to the others', async () => {
  await send('103')
  const killed = takeOutbox(database, 10, async (_, tx) => {
    await tx.run('select pg_terminate_backend(pg_backend_pid())', [])
  })
  await expect(killed).rejects.toThrow('not available')
  expect(await emptyOutbox()).toBe(1)
})

test('several workers, while others send: nothing twice, nothing left out, nobody waits for another', async () => {
  const taken: string[] = []
  const state = { over: false }
  const workers = [1, 2, 3].map(async () => {
    for (let last = 1; !state.over || last > 0; ) {
      last = await takeOutbox(database, 7, async (some) => void taken.push(...some.map(name)))
    }
  })
  const expected: string[] = []
  await Promise.all(
    channels.map(async (channelId) => {
      for (let turn = 0; turn < 15; turn++) {
        const result = await send(channelId, 1 + (turn % 3))
        const seqs = result.moved ? [] : result.outcomes.map((each) => (each.outcome === 'sent' ? each.message.seq : 0))
        expected.push(name({ channelId, firstSeq: seqs[0]!, lastSeq: seqs.at(-1)! }))
      }
    }),
  )
  state.over = true
  await Promise.all(workers)
  await emptyOutbox()
  expect(taken.toSorted()).toEqual(expected.toSorted())
  expect(await count()).toBe(0)
})

test('each reaction is handed over once, also one to a message whose others are being taken', async () => {
  let change = 0
  const react = (channelId: string, messageId: string) =>
    database.run(
      `insert into reaction_outbox (channel_id, message_id, change, user_id, at) values ($1, $2, $3, $4, now())`,
      [channelId, messageId, ++change, author],
    )
  const taken: string[] = []
  const keep = (some: readonly Reacted[]) => void taken.push(...some.map((each) => `${each.messageId} ${each.change}`))
  await react('100', '7')
  await react('101', '8')
  await react('100', '7')
  await takeReactions(database, 10, async (some) => {
    keep(some)
    await react('100', '7')
  })
  const failed = takeReactions(database, 10, async () => {
    throw new Error('no')
  })
  await expect(failed).rejects.toThrow('no')
  for (let last = 1; last > 0; ) last = await takeReactions(database, 10, async (some) => keep(some))
  expect(taken.filter((each) => each.startsWith('7'))).toEqual(['7 1', '7 3', ...taken.filter((each) => /^7 [^13]/.test(each))])
  expect(new Set(taken).size).toBe(taken.length)
  expect(taken).toHaveLength(change)
})
