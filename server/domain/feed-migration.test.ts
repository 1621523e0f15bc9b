import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { relayOutbox } from '../../workers/outbox.ts'
import { unavailable } from '../errors.ts'
import { type Append, appendBatch } from '../message-store/append.ts'
import { bucketAt } from '../message-store/bucket-time.ts'
import { readMessages } from '../message-store/pages.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { snowflakeAt } from '../message-store/snowflake.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import type { FeedPlace } from './feed-sources.ts'
import { createFeedService } from './feed.ts'
import { writeFeed } from './feed-writing.ts'

/*
 * A store of before there were feeds, with channels in which something was said lately, and others that have been quiet.
 */

const [author, reader] = ['5', '6']
const dayMs = 86_400_000
const now = Date.now()

/** What was said there, by the days since, the oldest first. */
const channels: Record<string, number[]> = {
  young: [20, 9, 3, 1],
  // Neither is a matter of a moment, however slow the machine is.
  almostKept: [41, 8.1],
  justKept: [40, 7.9],
  quiet: [60, 50, 30],
  // More than anybody would catch up with.
  long: Array.from({ length: 1_500 }, (_, nth) => 80 - nth / 100),
  silent: [],
}
const names = Object.keys(channels)
const idOf = (name: string) => String(100 + names.indexOf(name))
const snowflakesOf = (name: string) => channels[name]!.map((days) => snowflakeAt(now - days * dayMs))

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 4, deadlineMs: 60_000, unavailable })
  const migrationsFolder = fileURLToPath(new URL('../../drizzle/migrations', import.meta.url))
  await database.run('create table maru_migrations (hash text primary key, applied_at timestamptz not null)', [])
  for (const { sql, hash } of readMigrationFiles({ migrationsFolder }).slice(0, 5)) {
    for (const statement of sql) if (statement.trim() !== '') await database.run(statement, [])
    await database.run('insert into maru_migrations values ($1, now())', [hash])
  }
  for (const name of names) {
    const ids = snowflakesOf(name)
    await database.run(
      `insert into channels (id, kind, created_at, member_count, first_seq, last_seq, last_change, last_id)
       values ($1, 'GROUP', now(), 2, least($2::int, 1), $2, $2, $3)`,
      [idOf(name), ids.length, ids.at(-1) ?? '0'],
    )
    for (const id of [author, reader]) {
      await database.run(
        `insert into members (channel_id, user_id, role, joined_at, change) values ($1, $2, 'MEMBER', now(), 0)`,
        [idOf(name), id],
      )
    }
  }
  await migrate(database)
  await ensureBuckets(database, bucketAt(now - 90 * dayMs), bucketAt(now) + 1)
  for (const name of names) {
    await database.run(
      `insert into messages (channel_id, id, author_id, seq, change, kind, content)
       select $1, id, $2, seq, seq, 'USER', 'tea' from unnest($3::bigint[]) with ordinality as w (id, seq)`,
      [idOf(name), author, snowflakesOf(name)],
    )
  }
}, 60_000)
afterAll(() => database.close())

async function readAll(): Promise<string[]> {
  const store = { messages: (keys: Parameters<typeof readMessages>[1]) => readMessages(database, keys) }
  const feed = createFeedService({ database, store: store as never })
  const ids: string[] = []
  for (let after: FeedPlace | null = null; ; ) {
    const page = await feed.page(reader!, 100, after)
    ids.push(...page.messages.map(({ id, channelId }) => `${id} ${channelId}`))
    if (page.next === null) return ids
    after = page.next
  }
}

const byAge = (one: string, other: string) => Number(BigInt(other.split(' ')[0]!) - BigInt(one.split(' ')[0]!))
const said = names.flatMap((name) => snowflakesOf(name).map((id) => `${id} ${idOf(name)}`))

/** Says one thing in each channel, as a send does. */
async function sayEverywhere(days: number) {
  for (const [nth, name] of names.entries()) {
    const id = snowflakeAt(now - days * dayMs + nth)
    const message: Append = { id, kind: 'USER', authorId: author!, content: 'coffee', replyToId: null, mentionIds: [], deletedAt: null }
    await database.transaction(async (tx) => {
      await appendBatch(tx, idOf(name), [message])
      await tx.run(
        'insert into outbox (channel_id, first_seq, last_seq) select id, last_seq, last_seq from channels where id = $1',
        [idOf(name)],
      )
    })
    said.push(`${id} ${idOf(name)}`)
  }
}

test('channels that have been quiet have no row, and all that was said is found', async () => {
  const rows = await database.run<{ id: string }>('select channel_id as id from feed_spans order by channel_id', [])
  expect(rows.map((row) => row.id)).toEqual([idOf('young'), idOf('justKept')])
  expect(await readAll()).toEqual(said.toSorted(byAge))
})

test('what is said next is found at once, and written out without what is old', async () => {
  await sayEverywhere(0.5)
  expect(await readAll()).toEqual(said.toSorted(byAge))
  let told: readonly string[] = []
  const onError = (error: unknown) => {
    throw error
  }
  const writeFeeds = (channelIds: readonly string[]) => void (told = channelIds)
  await relayOutbox(database, { add: async () => {} }, { links: false, feedMembers: 10, writeFeeds, onError })
  expect(await readAll()).toEqual(said.toSorted(byAge))
  expect(told.toSorted()).toEqual(names.map(idOf))
  for (const channelId of told) await writeFeed(database, { channelId, writtenMembers: 10 })
  const written = await database.run<{ id: string }>(`select message_id || ' ' || channel_id as id from feed_entries`, [])
  expect(written.map((row) => row.id).toSorted()).toEqual(said.slice(-names.length).toSorted())
  expect(await readAll()).toEqual(said.toSorted(byAge))
  // Channels without a row before are done with: feeds do not look into them any more.
  const merged = await database.run<{ id: string }>('select channel_id as id from feed_spans where merged order by 1', [])
  expect(merged.map((row) => row.id)).toEqual([idOf('young'), idOf('justKept')])
})
