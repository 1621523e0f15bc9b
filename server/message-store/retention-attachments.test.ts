import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { fillMonths, makeChannel } from '../testing/old-messages.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { bucketAt, rangeOf, startOf } from './bucket-time.ts'
import type { ExpiredAttachments } from './expired-attachments.ts'
import { ensureBuckets } from './partitions.ts'
import { retain } from './retention.ts'

vi.setConfig({ testTimeout: 120_000 })

const author = '5'
const [leaving, staying] = ['11', '12']
const newest = bucketAt(Date.now())
const now = startOf(newest) + 14 * 86_400_000
const months = [newest - 3, newest - 2, newest]

let database: Database
beforeEach(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, deadlineMs: 60_000, unavailable })
  await migrate(database)
  await ensureBuckets(database)
  for (const id of [leaving, staying]) {
    await makeChannel(database, id, [author])
    await fillMonths(database, { channelId: id, author, buckets: months, perMonth: 6 })
  }
  // Every third message has two files, which are called by the message's seq.
  await database.run(
    `update messages set attachment_ids = array[channel_id * 1000 + seq, channel_id * 1000 + 500 + seq] where seq % 3 = 0`,
    [],
  )
})
afterEach(() => database.close())

/** What the messages of a channel up to a month have attached. */
async function attachedBefore(channelIds: string[], end: number): Promise<string[]> {
  const rows = await database.run<{ id: string }>(
    `select unnest(attachment_ids) as id from messages where channel_id = any ($1::bigint[]) and id < $2`,
    [channelIds, rangeOf(end).low],
  )
  return rows.map(({ id }) => id).toSorted()
}

function listener() {
  const told: string[] = []
  const onAttachments = async (attachments: ExpiredAttachments) => {
    for (const { userId, attachmentIds } of attachments) {
      expect(userId).toBe(author)
      told.push(...attachmentIds)
    }
  }
  return { told, onAttachments }
}

test('what goes with a whole month is told of, all of it, and nothing that stays', async () => {
  const expected = await attachedBefore([leaving, staying], newest)
  expect(expected.length).toBeGreaterThan(6)
  const { told, onAttachments } = listener()
  const done = await retain(database, { days: 31, now, onAttachments })
  expect(done!.buckets).toEqual(months.slice(0, 2))
  expect(told.toSorted()).toEqual(expected)
  await retain(database, { days: 31, now, onAttachments })
  expect(told.toSorted()).toEqual(expected)
})

test('where others keep the month, only the messages that go are told of', async () => {
  await database.run('update channels set retention_days = 3650 where id = $1', [staying])
  const expected = await attachedBefore([leaving], newest)
  const { told, onAttachments } = listener()
  const done = await retain(database, { days: 31, now, onAttachments })
  expect(done).toMatchObject({ buckets: [], messages: 12 })
  expect(told.toSorted()).toEqual(expected)
})

test('where it cannot be told, nothing goes, and the next run tells', async () => {
  const expected = await attachedBefore([leaving, staying], newest)
  const refusing = () => Promise.reject(new Error('no jobs today'))
  await expect(retain(database, { days: 31, now, onAttachments: refusing })).rejects.toThrow('no jobs')
  const { told, onAttachments } = listener()
  // The run that failed may still hold the lock for a moment.
  await expect.poll(() => retain(database, { days: 31, now, onAttachments })).not.toBeNull()
  expect(told.toSorted()).toEqual(expected)
})

test('what is shown of the links in a message goes with it, and with no other', async () => {
  await database.run('update channels set retention_days = 3650 where id = $1', [staying])
  await database.run(
    `insert into link_previews (channel_id, message_id, position, url, title)
     select channel_id, id, position, 'https://example.com/', 'title' from messages, generate_series(0, 2) as position`,
    [],
  )
  const count = async (channelId: string) => {
    const [row] = await database.run<{ count: number }>(
      'select count(*)::int as count from link_previews where channel_id = $1',
      [channelId],
    )
    return row!.count
  }
  await retain(database, { days: 31, now, onAttachments: async () => {} })
  expect([await count(leaving), await count(staying)]).toEqual([3 * 6, 3 * 18])
})
