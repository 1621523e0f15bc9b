import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { unavailable } from '../server/errors.ts'
import { messageTerms } from '../server/lib/search-terms.ts'
import { bucketAt, startOf, tableOf } from '../server/message-store/bucket-time.ts'
import { changesSince } from '../server/message-store/changes.ts'
import { readMessage, readSpan, seqAt } from '../server/message-store/pages.ts'
import { ensureBuckets } from '../server/message-store/partitions.ts'
import { reindex } from '../server/message-store/reindex.ts'
import { hashOf, sendBatch } from '../server/message-store/send.ts'
import { snowflakeAt } from '../server/message-store/snowflake.ts'
import { createEmptyDatabase } from '../server/testing/test-app.ts'
import { type Database, openDatabase } from './connection.ts'
import { migrate } from './migrate.ts'

/*
 * A database of the first version, with what people said in it, becomes one of this version and lacks nothing.
 */

const [alice, bob] = ['5', '6']
const [busy, silent, imported] = ['11', '12', '13']
const newest = bucketAt(Date.now())
/** The store began years before its newest message, with months in which nobody said anything. */
const months = [newest - 40, newest - 39, newest - 7, newest - 1, newest]

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 4, deadlineMs: 30_000, unavailable })
  await runFirstMigration()
  await writeAsBefore()
  await migrate(database)
  await ensureBuckets(database)
}, 60_000)
afterAll(() => database.close())

async function runFirstMigration() {
  const migrationsFolder = fileURLToPath(new URL('./migrations', import.meta.url))
  const [first] = readMigrationFiles({ migrationsFolder })
  await database.run('create table maru_migrations (hash text primary key, applied_at timestamptz not null)', [])
  for (const statement of first!.sql) if (statement.trim() !== '') await database.run(statement, [])
  await database.run('insert into maru_migrations values ($1, now())', [first!.hash])
}

/** What was written, as it must be found. */
type Said = { id: string; seq: number; change: number; content: string; replyToId: string | null; mentionIds: string[] }

const said: Said[] = []
/** What happened to messages since, by seq. */
const touched = new Map<number, { kind: string; version: number; replyCount?: number; content?: string }>()
let head = 2
const old = (text: string, ...parameters: unknown[]) => database.run(text, parameters)

async function say(at: number, author: string, content: string, replyTo: Said | null = null, mentionIds: string[] = []) {
  const message: Said = {
    id: snowflakeAt(at),
    seq: said.length + 1,
    change: ++head,
    content,
    replyToId: replyTo?.id ?? null,
    mentionIds,
  }
  said.push(message)
  const { id, seq, change, replyToId } = message
  await old(
    `insert into messages (channel_id, id, seq, change, version, kind, author_id, content, reply_to_id, mention_ids)
     values ($1, $2, $3, $4, $4, 'USER', $5, $6, $7, $8)`,
    busy, id, seq, change, author, content, replyToId, mentionIds,
  )
  await old(
    `insert into send_keys (channel_id, author_id, key, message_id, body_hash) values ($1, $2, $3, $4, decode($5, 'hex'))`,
    busy, author, `key ${seq}`, id, bodyHash(content, replyToId),
  )
  for (const userId of mentionIds) await old('insert into mentions values ($1, $2, $3, $4)', busy, userId, seq, id)
  if (replyTo === null) return message
  await touch(replyTo, 'ENRICHED', { replyCount: (touched.get(replyTo.seq)?.replyCount ?? 0) + 1 })
  await old(
    `insert into threads values ($1, $2, $3, $4) on conflict (channel_id, message_id, user_id) do update set last_read_seq = excluded.last_read_seq`,
    busy, replyTo.id, author, seq,
  )
  return message
}

const bodyHash = (content: string, replyToId: string | null) =>
  createHash('sha256').update(JSON.stringify(['USER', content, replyToId])).digest('hex')

async function touch(message: Said, kind: string, set: { replyCount?: number; content?: string; pinned?: boolean; deleted?: boolean }) {
  const version = ++head
  await old(
    `update messages set version = $3, reply_count = coalesce($4::int, reply_count), content = coalesce($5, content),
       pinned_at = case when $6 then now() end, deleted_at = case when $7 then now() end,
       edited_at = case when $5 is not null then now() end
     where channel_id = $1 and id = $2`,
    busy, message.id, version, set.replyCount ?? null, set.content ?? null, set.pinned === true, set.deleted === true,
  )
  await old(
    `insert into message_changes (channel_id, message_id, change, kind) values ($1, $2, $3, $4)
     on conflict (channel_id, message_id) do update set change = excluded.change, kind = excluded.kind`,
    busy, message.id, version, kind,
  )
  touched.set(message.seq, { ...touched.get(message.seq), kind, version, ...set })
}

async function writeAsBefore() {
  for (const id of [busy, silent, imported]) {
    await old(`insert into channels (id, kind, created_at, member_count) values ($1, 'GROUP', now(), 2)`, id)
    for (const [nth, userId] of [alice, bob].entries()) {
      await old(
        `insert into members (channel_id, user_id, role, joined_at, change) values ($1, $2, 'MEMBER', now(), $3)`,
        id, userId, nth + 1,
      )
    }
  }
  for (const month of months) {
    const at = (nth: number) => startOf(month) + nth * 60_000
    const root = await say(at(0), alice, `tea in ${month}?`)
    for (let nth = 1; nth < 30; nth++) {
      await say(at(nth), nth % 2 ? bob : alice, `차 한 잔 ${nth}`, nth % 9 === 0 ? root : null, nth % 10 === 0 ? [bob, alice] : [])
    }
    await touch(said.at(-5)!, 'EDITED', { content: 'cake' })
    await touch(said.at(-6)!, 'PINS_CHANGED', { pinned: true })
    await touch(said.at(-12)!, 'DELETED', { content: '', deleted: true })
    await touch(said.at(-8)!, 'REACTIONS_CHANGED', {})
    await old('insert into reactions values ($1, $2, $3, $4, $5)', busy, said.at(-8)!.id, '❤️', bob, head)
  }
  await old(
    'update channels set first_seq = 1, last_seq = $2, last_change = $3, last_id = $4 where id = $1',
    busy, said.length, head, said.at(-1)!.id,
  )
  // An import counted the replies within a batch without a change.
  const [root, reply] = [snowflakeAt(startOf(newest - 100)), snowflakeAt(startOf(newest - 100) + 5)]
  await old(
    `insert into messages (channel_id, id, seq, change, version, kind, author_id, content, reply_to_id, reply_count)
     values ($1, $2, 1, 3, 3, 'USER', $4, 'imported', null, 1), ($1, $3, 2, 4, 4, 'ACTION', $4, 'too', $2, 0)`,
    imported, root, reply, bob,
  )
  await old('update channels set first_seq = 1, last_seq = 2, last_change = 4, last_id = $2 where id = $1', imported, reply)
}

test('messages are where they were, with what happened to them', async () => {
  const found = await readSpan(database, busy, { from: 1, to: said.length }, 'start')
  expect(found.map(({ id, seq, change, replyToId, mentionIds }) => ({ id, seq, change, replyToId, mentionIds }))).toEqual(
    said.map(({ id, seq, change, replyToId, mentionIds }) => ({ id, seq, change, replyToId, mentionIds })),
  )
  for (const message of found) {
    const since = touched.get(message.seq)
    expect(message).toMatchObject({
      version: since?.version ?? message.change,
      replyCount: since?.replyCount ?? 0,
      content: since?.content ?? said[message.seq - 1]!.content,
    })
    expect(message.pinnedAt !== null).toBe(since?.kind === 'PINS_CHANGED')
    expect(message.deletedAt !== null).toBe(since?.kind === 'DELETED')
    expect(message.editedAt !== null).toBe(since?.content !== undefined)
  }
  expect(await readSpan(database, imported, { from: 1, to: 2 }, 'end')).toMatchObject([
    { content: 'imported', replyCount: 1, version: 3 },
    { content: 'too', replyCount: 0, version: 4, kind: 'ACTION' },
  ])
  expect(await readSpan(database, silent, { from: 0, to: 0 }, 'end')).toEqual([])
})

test('each lies in the partition of its month, and is found by date', async () => {
  for (const [place, month] of months.entries()) {
    const rows = await database.run(`select seq from ${tableOf(month)} where channel_id = $1`, [busy])
    expect(rows).toHaveLength(30)
    expect(await seqAt(database, busy, snowflakeAt(startOf(month)))).toBe(30 * place + 1)
  }
  const rows = await database.run('select bucket, first_seq, first_change from channel_buckets where channel_id = $1 order by 1', [busy])
  expect(rows).toEqual(months.map((bucket, nth) => ({ bucket, first_seq: 30 * nth + 1, first_change: said[30 * nth]!.change })))
})

test('replies, pins, mentions and reactions are there', async () => {
  const rows = await database.run<{ root_id: string; seq: number; deleted: boolean }>(
    'select root_id, seq, deleted from replies where channel_id = $1 order by seq',
    [busy],
  )
  const replies = said.filter((message) => message.replyToId !== null)
  expect(rows).toEqual(
    replies.map(({ replyToId, seq }) => ({ root_id: replyToId, seq, deleted: touched.get(seq)?.kind === 'DELETED' })),
  )
  const count = async (table: string, where = 'true') =>
    (await database.run<{ count: number }>(`select count(*)::int as count from ${table} where channel_id = $1 and ${where}`, [busy]))[0]!.count
  expect(await count('message_changes', 'pinned_at is not null')).toBe(months.length)
  expect(await count('mentions')).toBe(months.length * 4)
  expect(await count('reactions')).toBe(months.length)
  expect(await count('threads')).toBe(months.length * 2)
})

test('a stream with a cursor of before is told what it was not told yet', async () => {
  const all = await changesSince(database, busy, { change: 0, seq: 0 }, 500, alice)
  // Each message and each of the two members, once.
  expect(all!.changes).toHaveLength(said.length + 2)
  const last = said.at(-1)!
  const page = await changesSince(database, busy, { change: last.change, seq: last.seq }, 500, alice)
  expect(page!.changes.map((change) => change.type === 'message' && change.kind)).toEqual([
    'EDITED', 'PINS_CHANGED', 'DELETED', 'REACTIONS_CHANGED',
  ])
  expect(page!.position).toEqual({ change: head, seq: last.seq })
})

test('a send that was answered with nothing is sent again with its key, and is not stored twice', async () => {
  const message = said[40]!
  const send = { authorId: bob, key: 'key 41', kind: 'USER' as const, content: message.content, root: null, mentionIds: [], terms: [] }
  const body = (content: string) => hashOf(JSON.stringify(['USER', content, null]))
  const result = await sendBatch(database, busy, 0, snowflakeAt(Date.now()), [
    { ...send, authorId: message.seq % 2 ? alice : bob, bodyHash: body(message.content) },
    { ...send, authorId: message.seq % 2 ? alice : bob, bodyHash: body('another') },
    { ...send, key: 'new', content: 'new', bodyHash: body('new') },
  ])
  expect(result).toMatchObject({
    outcomes: [{ outcome: 'repeated', message: { id: message.id } }, { outcome: 'conflict' }, { outcome: 'sent', message: { seq: said.length + 1 } }],
  })
})

test('what was said before can be searched for once maintenance has seen to it', async () => {
  await reindex(database)
  const rows = await database.run<{ id: string; content: string; terms: number[] | null }>(
    'select id, content, terms from messages where channel_id = $1 and seq <= $2',
    [busy, said.length],
  )
  for (const row of rows) expect(row.terms ?? []).toEqual(messageTerms(busy, row.content))
  expect(await readMessage(database, { channelId: busy, messageId: said[0]!.id })).toMatchObject({ seq: 1 })
})
