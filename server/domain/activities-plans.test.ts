import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { bucketAt, rangeOf } from '../message-store/bucket-time.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { looksOf } from '../testing/explain.ts'
import { recordStatements } from '../testing/record-statements.ts'
import { createEmptyDatabase } from '../testing/test-app.ts'
import { createActivitiesService } from './activities.ts'
import type { Deps } from './deps.ts'

/*
 * Somebody who is in thousands of channels, among them one with a hundred thousand members and reactions, and what is
 * about them there: each look at it costs what it shows, wherever that is.
 */

const channels = 5_000
const large = String(channels + 1)
const crowd = 100_000
const bucket = bucketAt(Date.now()) - 1
const { low } = rangeOf(bucket)
const messageOf = (channel: string) => `${low}::bigint + ${channel} * 4194304::bigint`

/** Mentioned in a thousand channels; a thousand times in the largest; and once there, before all of which was elsewhere. */
const everywhere = '1'
const inOne = '2'
const hidden = '3'
const author = '9'

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 4, deadlineMs: 60_000, unavailable })
  await migrate(database)
  await ensureBuckets(database, bucket, bucket + 1)
  const fill = (text: string) => database.run(text, [])
  const all = `generate_series(1, ${channels + 1}) c`
  await fill(`insert into channels (id, kind, created_at, first_seq, last_seq, last_change) select c, 'PUBLIC', now(), 1, 1, 1 from ${all}`)
  await fill(`insert into members (channel_id, user_id, role, joined_at, change)
    select c, u, 'MEMBER', now(), 1 from ${all}, unnest('{1,2,4,5,6,7,8,9}'::bigint[]) u
    union all select ${large}, 1000 + u, 'MEMBER', now(), 1 from generate_series(1, ${crowd}) u
    union all select ${large}, ${hidden}, 'MEMBER', now(), 1`)
  await fill(`insert into messages (channel_id, id, author_id, seq, change, kind, content, mention_ids)
    select c, ${messageOf('c')}, ${author}, 1, 1, 'USER', 'hello', '{1,2,3}' from ${all}`)
  await fill(`insert into reactions (channel_id, message_id, emoji, user_id, change)
    select ${large}, ${messageOf(large)}, '👍', 1000 + u, u from generate_series(1, ${crowd}) u`)
  await fill(`insert into activities (user_id, id, kind, channel_id, message_id, subject, actor_id, at)
    select ${everywhere}, n, 'MENTION', n, ${messageOf('n')}, 0, ${author}, now() from generate_series(1, 1000) n
    union all select ${inOne}, n, 'MENTION', ${large}, ${messageOf(large)}, n, ${author}, now() from generate_series(1, 1000) n
    union all select ${hidden}, 1 + n, 'MENTION', n % 5, ${messageOf('(n % 5)')}, n, ${author}, now() from generate_series(1, 20000) n
    union all select ${hidden}, 1, 'MENTION', ${large}, ${messageOf(large)}, 0, ${author}, now()`)
  await database.run('vacuum analyze', [])
}, 180_000)
afterAll(() => database.close())

const serviceOn = (watched: Database) => createActivitiesService({ database: watched } as unknown as Deps)

test.each([['a thousand channels', everywhere], ['one large channel', inOne]])(
  'what is about somebody in %s costs a few pages of the store for each row that is shown',
  async (_, userId) => {
    const looks = await looksOf(database, async (watched) => {
      expect((await serviceOn(watched).page(userId, 100, null)).rows).toHaveLength(100)
      expect(await serviceOn(watched).unreadCount(userId)).toBe(100)
    })
    expect(looks.map(({ name }) => name)).toEqual([
      'activities', 'visible activities', 'who blocked whom', 'unread activities', 'visible activities', 'who blocked whom',
    ])
    for (const { name, blocks } of looks) expect(blocks, name).toBeLessThan(101 * 16)
  },
)

test('nothing that is looked up for each row goes through a list for it', async () => {
  const ran = recordStatements(database)
  await serviceOn(database).page(everywhere, 100, null)
  await serviceOn(database).page(inOne, 100, null)
  const visible = ran.filter(({ text }) => text.includes('visible activities'))
  expect(visible).toHaveLength(2)
  for (const { text, parameters } of visible) {
    const lines = await database.run<{ 'QUERY PLAN': string }>(`explain ${text}`, parameters)
    const plan = lines.map((line) => line['QUERY PLAN']).join('\n')
    expect(plan).not.toMatch(/Cond:.* ANY/)
    expect(plan).not.toMatch(/Seq Scan/)
  }
})

test('what lies behind 20,000 rows of channels that were left is found, and counted, by the second look', async () => {
  for (let nth = 0; nth < 2; nth++) {
    const looks = await looksOf(database, async (watched) => {
      const { rows, next } = await serviceOn(watched).page(hidden, 50, null)
      expect(rows.map(({ id }) => id)).toEqual([1])
      expect(next).toBe(null)
      expect(await serviceOn(watched).unreadCount(hidden)).toBe(1)
    })
    expect(looks.filter(({ name }) => name.endsWith('activities')).length).toBeLessThanOrEqual(8)
  }
})
