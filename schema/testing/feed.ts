import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../drizzle/connection.ts'
import { messageGlobalId, parseGlobalId } from '../../server/lib/global-id.ts'
import type { Person, TestApp } from '../../server/testing/test-app.ts'
import { operation } from './operations.ts'

type FeedResult = {
  feed: {
    edges: { cursor: string; node: { id: string; content: string } }[]
    pageInfo: { hasNextPage: boolean; endCursor: string | null }
  }
}

const document = operation<FeedResult, { first?: number | null; after?: string | null }>(
  `query Feed($first: Int, $after: String) {
    feed(first: $first, after: $after) {
      edges { cursor node { id content } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }`,
)

/** One page of somebody's feed. */
export const feedPage = async (person: Person, first: number | null = null, after: string | null = null) =>
  (await person.client.request(document, { first, after })).feed

/** All of it, page by page, with something done between each two; the ids. */
export async function wholeFeed(person: Person, first = 20, between = async () => {}): Promise<string[]> {
  const ids: string[] = []
  for (let after: string | null = null; ; ) {
    const { edges, pageInfo } = await feedPage(person, first, after)
    ids.push(...edges.map(({ node }) => node.id))
    if (!pageInfo.hasNextPage) return ids
    after = pageInfo.endCursor
    await between()
  }
}

/** What a feed has to hold by what the store says, computed without entries, spans and pages; the ids, in order. */
export async function expectedFeed({ run }: Pick<Database, 'run'>, person: Person): Promise<string[]> {
  const viewerId = userSnowflake(person)
  const blocked = await run<{ id: string }>('select blocked_id as id from blocks where user_id = $1', [viewerId])
  const rows = await run<{ id: string; channel_id: string }>(
    `select m.id, m.channel_id from messages m
     join members u on u.channel_id = m.channel_id join channels c on c.id = m.channel_id
     where u.user_id = $1 and u.left_at is null and u.notification_level <> 'NONE' and m.seq > u.joined_seq
       and m.seq >= c.first_seq and m.kind in ('USER', 'ACTION') and m.deleted_at is null
       and m.author_id <> $1 and m.author_id <> all ($2::bigint[])
     order by m.id desc, m.channel_id desc`,
    [viewerId, blocked.map((row) => row.id)],
  )
  return rows.map((row) => messageGlobalId(row.channel_id, row.id))
}

export const userSnowflake = ({ id }: Pick<Person, 'id'>): string => (parseGlobalId(id) as { userId: string }).userId

/** Resolves once workers have written out what was sent; what turns a large channel into a small one they do first. */
export async function feedsWritten({ app }: TestApp): Promise<void> {
  // Twice: what has just left the outbox is only about to be written.
  for (let still = 0; still < 2; ) {
    const [row] = await app.database.run<{ waiting: number }>(
      `select (select count(*) from outbox)::int + (
         select count(*) from feed_spans f join channels c on c.id = f.channel_id
         where f.told_id > f.up_to_id and not c.feed_merged
       )::int as waiting`,
      [],
    )
    still = row!.waiting === 0 ? still + 1 : 0
    await sleep(100)
  }
}

/** How many entries somebody has. */
export async function entriesOf({ app }: TestApp, person: Person): Promise<number> {
  const [row] = await app.database.run<{ count: number }>(
    'select count(*)::int as count from feed_entries where user_id = $1',
    [userSnowflake(person)],
  )
  return row!.count
}
