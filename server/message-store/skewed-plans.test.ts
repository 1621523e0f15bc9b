import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { createMembersService } from '../domain/members.ts'
import { createReactionsService } from '../domain/reactions.ts'
import { createReadStateService } from '../domain/read-state.ts'
import type { Deps } from '../domain/deps.ts'
import type { MessagesService } from '../domain/messages.ts'
import { createThreadsService } from '../domain/threads.ts'
import { unavailable } from '../errors.ts'
import { looksOf } from '../testing/explain.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import { bucketAt, rangeOf, startOf, tableOf } from './bucket-time.ts'
import { createMessageStore } from './message-store.ts'
import { ensureBuckets } from './partitions.ts'
import { beforeId } from './search.ts'
import { createSnowflakes } from './snowflake.ts'

/*
 * A community as they are: thousands of channels in which hardly anything is said, and one in which nearly everything
 * is. One plan serves them all. Made for the average channel it reads the whole of the large one, so each statement is
 * held to a few pages of the store there.
 */

const small = 20_000
const large = String(small + 1)
const count = 100_000
/** Last month, of which every day has passed. */
const bucket = bucketAt(Date.now()) - 1
/** Between two ids lie twenty seconds. */
const apart = 20_000 * 2 ** 22
const { low } = rangeOf(bucket)
const idOf = (seq: number) => String(BigInt(low) + BigInt(seq) * BigInt(apart))

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 2, deadlineMs: 60_000, unavailable })
  await migrate(database)
  await ensureBuckets(database, bucket, bucket + 1)
  const fill = (text: string) => database.run(text, [])
  const all = `generate_series(1, ${small}) c`
  const said = `select c, ${low}::bigint + s * ${apart}::bigint, 1001, s, s, 'USER', 'hello'`
  await fill(`insert into channels (id, kind, created_at, first_seq, last_seq, last_change, last_id)
    select c, 'GROUP', now(), 1, 2, 2, ${idOf(2)} from ${all}
    union all select ${large}, 'PUBLIC', now(), 1, ${count}, ${count}, ${idOf(count)}`)
  await fill(`insert into channel_buckets (channel_id, first_seq, first_change, bucket) select id, 1, 1, ${bucket} from channels`)
  await fill(`insert into messages (channel_id, id, author_id, seq, change, kind, content)
    ${said} from ${all}, generate_series(1, 2) s union all ${said} from generate_series(${large}, ${large}) c, generate_series(1, ${count}) s`)
  await fill(`insert into members (channel_id, user_id, role, joined_at, change)
    select c, 1000 + u, 'MEMBER', now(), u from ${all}, generate_series(1, 3) u
    union all select ${large}, 1000 + u, 'MEMBER', now(), u from generate_series(1, ${count / 2}) u`)
  // Of the large channel every second message is answered, and reacted to by two; one person is mentioned in each.
  await fill(`insert into message_changes (channel_id, message_id, change, kind, reply_count)
    select ${large}, ${low}::bigint + s * ${apart}::bigint, s, 'CREATED', 1 from generate_series(1, ${count}, 2) s`)
  await fill(`insert into replies (channel_id, root_id, seq, message_id)
    select ${large}, ${low}::bigint + s * ${apart}::bigint, s + 1, ${low}::bigint + (s + 1) * ${apart}::bigint from generate_series(1, ${count - 1}, 2) s`)
  await fill(`insert into threads (channel_id, message_id, user_id, last_read_seq)
    select ${large}, ${low}::bigint + s * ${apart}::bigint, 1001, s from generate_series(1, ${count}, 2) s`)
  await fill(`insert into reactions (channel_id, message_id, emoji, user_id, change)
    select ${large}, ${low}::bigint + s * ${apart}::bigint, '👍', 1000 + u, s from generate_series(1, ${count}, 2) s, generate_series(1, 2) u`)
  await fill(`insert into mentions (channel_id, user_id, seq, message_id)
    select ${large}, 1001, s, ${low}::bigint + s * ${apart}::bigint from generate_series(1, ${count}) s`)
  await fill(`update members set last_read_seq = ${count - 10} where channel_id = ${large}`)
  // A word that is said in one of a thousand messages.
  await fill(`update messages set terms = '{7}' where seq % 1000 = 0`)
  await database.run('vacuum analyze', [])
}, 180_000)
afterAll(() => database.close())

/** What is asked of the large channel, and how many pages of 8 KB that may take, in each statement. */
const asked: [string, number, (database: Database) => Promise<unknown>][] = []
const ask = (name: string, most: number, work: (store: ReturnType<typeof open>) => Promise<unknown>) =>
  asked.push([name, most, (recording) => work(open(recording))])

function open(recording: Database) {
  const store = createMessageStore({ database: recording, snowflakes: createSnowflakes(() => 1), announce: () => {} })
  const deps = { database: recording, store } as unknown as Deps
  const messages = {} as MessagesService
  return {
    ...store,
    members: createMembersService(deps),
    threads: createThreadsService(deps, messages),
    reactions: createReactionsService(deps, messages),
    readState: createReadStateService(deps),
  }
}

const keys = Array.from({ length: 20 }, (_, nth) => ({ channelId: large, messageId: idOf(1 + nth * 2_000) }))
const span = (from: number, to: number) => ({ channelId: large, span: { from, to }, anchor: 'end' as const, change: count })
const others = Array.from({ length: 20 }, (_, nth) => ({ ...span(1, 2), channelId: String(nth + 1) }))

ask('a page', 400, ({ pages }) => pages([span(count - 49, count)]))
ask('pages of many channels', 400, ({ pages }) => pages([...others, span(count - 1, count)]))
ask('messages by id', 400, ({ messages }) => messages(keys))
ask('one message', 20, ({ message }) => message(keys[3]!))
ask('a moment', 10, ({ seqAt }) => seqAt(large, idOf(count / 2)))
ask('a catch-up of ten changes', 150, ({ changesSince }) => changesSince(large, { change: count - 10, seq: count - 10 }, 100, '1001'))
ask('heads', 200, ({ heads }) => heads([large, ...others.map(({ channelId }) => channelId)]))
ask('memberships of many', 200, ({ members }) => members.findMany(keys.map((_, nth) => ({ channelId: large, userId: String(1_001 + nth) }))))
ask('a page of members', 100, ({ members }) => members.list([{ channelId: large, first: 20, afterUserId: null }]))
ask('replies', 400, ({ threads }) => threads.replies(keys.map((key) => ({ ...key, first: 5, afterSeq: 0 }))))
ask('places in threads', 400, ({ threads }) => threads.states('1001', keys))
ask('reactions', 400, ({ reactions }) => reactions.summaries(keys))
ask('own reactions', 400, ({ reactions }) => reactions.ownOn('1001', keys))
ask('unread mentions', 400, ({ readState }) => readState.unreadMentions('1001', [large, ...others.map(({ channelId }) => channelId)]))

ask('a search for a rare word', 600, ({ search }) =>
  search({
    channelIds: [large, ...others.map(({ channelId }) => channelId)],
    messages: count,
    since: startOf(bucket),
    authorIds: null,
    terms: [7],
    low: '0',
    before: beforeId(idOf(count + 1)),
    size: 50,
    accepts: () => true,
  }),
)

test.each(asked)('%s of the largest channel looks at no more than %i pages', async (_, most, work) => {
  const looks = await looksOf(database, work)
  expect(looks.length).toBeGreaterThan(0)
  for (const { name, blocks } of looks) expect(blocks, name).toBeLessThanOrEqual(most)
})

test('a page stays what it is when an index has been made anew', async () => {
  const [row] = await database.run<{ name: string }>(
    `select indexrelid::regclass::text as name from pg_index where indisprimary and indrelid = $1::regclass`,
    [tableOf(bucket)],
  )
  await database.run(`reindex index concurrently ${row!.name}`, [])
  const looks = await looksOf(database, (recording) => open(recording).pages([span(count - 49, count)]))
  for (const { name, blocks } of looks) expect(blocks, name).toBeLessThanOrEqual(400)
})
