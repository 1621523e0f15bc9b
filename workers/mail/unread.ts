import type { Database } from '../../drizzle/connection.ts'
import { cutToCodePoints } from '../../server/push/fit.ts'
import { firstCodePoints, isBlank } from '../../server/lib/text.ts'
import { readSpan } from '../../server/message-store/pages.ts'
import type { MessageRow } from '../../server/message-store/rows.ts'
import { snowflakeTime } from '../../server/message-store/snowflake.ts'

/** A conversation that somebody has not read to its end. */
export type UnreadConversation = {
  channelId: string
  kind: 'DIRECT' | 'GROUP' | 'PUBLIC'
  /** The channel's; of a DIRECT one the other's. Null for a group that nobody has named. */
  name: string | null
  /** Of MENTIONS only those that mention are counted. */
  level: 'ALL' | 'MENTIONS'
  unread: number
  /** The last few that are unread, in order, of the first conversations. */
  lines: readonly UnreadLine[]
}

/** What somebody has written; `excerpt` is null where it says nothing in words. */
export type UnreadLine = { author: string; isAction: boolean; excerpt: string | null }

/** Conversations of which a mail shows lines, and how many of each. */
const maxShown = 5
const linesOfEach = 3
/** Characters of a line. */
const maxExcerpt = 200
/** How far back those lines are looked for that are worth showing. */
const lookBack = 20
/** A mail about more is about "more". */
const maxConversations = 100

type Row = {
  id: string
  kind: UnreadConversation['kind']
  name: string | null
  first_seq: number
  last_seq: number
  last_read_seq: number
  notification_level: 'ALL' | 'MENTIONS'
  expire_after_seconds: number | null
}

/**
 * What a user has not read in channels that they have not muted, the latest first. `shows`: whether what was written is
 * to be looked at, too. `olderThan`: of conversations in which the oldest that is unread came later, nothing.
 */
export async function unreadOf(
  database: Database,
  userId: string,
  { shows, olderThan }: { shows: boolean; olderThan: Date | null },
): Promise<UnreadConversation[]> {
  const rows = await findRows(database, userId)
  const mentions = await countMentions(database, userId, rows)
  const peers = await findPeers(database, userId, rows)
  const found: UnreadConversation[] = []
  for (const row of rows) {
    const level = row.notification_level
    const unread = level === 'MENTIONS' ? (mentions.get(row.id) ?? 0) : row.last_seq - row.last_read_seq
    if (unread === 0 || (olderThan !== null && !(await isOlder(database, row, olderThan)))) continue
    // What is to disappear must not stay in a mailbox.
    const isShown = shows && found.length < maxShown && row.expire_after_seconds === null
    const lines = isShown ? await readLines(database, userId, row) : []
    const name = row.kind === 'DIRECT' ? (peers.get(row.id) ?? null) : row.name
    found.push({ channelId: row.id, kind: row.kind, name, level, unread, lines })
  }
  return found
}

const findRows = (database: Database, userId: string): Promise<Row[]> =>
  database.run<Row>(
    `/* unread of one */ select c.id, c.kind, c.name, c.first_seq, c.last_seq, c.expire_after_seconds,
       m.last_read_seq, m.notification_level
     from members m join channels c on c.id = m.channel_id
     where m.user_id = $1 and m.left_at is null and c.last_seq > m.last_read_seq and not c.shut
       and m.notification_level <> 'NONE' and (m.muted_until is null or m.muted_until <= now())
     order by c.last_id desc limit ${maxConversations}`,
    [userId],
  )

async function countMentions(database: Database, userId: string, rows: readonly Row[]): Promise<Map<string, number>> {
  const ids = rows.filter((row) => row.notification_level === 'MENTIONS').map((row) => row.id)
  if (ids.length === 0) return new Map()
  const counts = await database.run<{ channel_id: string; count: number }>(
    `/* unread mentions of one */ select m.channel_id, count(*)::int as count
     from members p join mentions m on m.channel_id = p.channel_id and m.user_id = p.user_id
     where p.user_id = $1 and p.channel_id = any ($2::bigint[]) and m.channel_id = any ($2::bigint[])
       and m.seq > p.last_read_seq
     group by m.channel_id`,
    [userId, ids],
  )
  return new Map(counts.map((row) => [row.channel_id, row.count]))
}

/** What the other ones of DIRECT channels are called. */
async function findPeers(database: Database, userId: string, rows: readonly Row[]): Promise<Map<string, string>> {
  const ids = rows.filter((row) => row.kind === 'DIRECT').map((row) => row.id)
  if (ids.length === 0) return new Map()
  const peers = await database.run<{ channel_id: string; user_id: string }>(
    `/* peers of one */ select channel_id, user_id from members
     where channel_id = any ($1::bigint[]) and user_id <> $2`,
    [ids, userId],
  )
  const names = await findNames(database, peers.map((peer) => peer.user_id))
  return new Map(peers.map((peer) => [peer.channel_id, names.get(peer.user_id) ?? '']))
}

async function findNames(database: Database, userIds: readonly string[]): Promise<Map<string, string>> {
  const users = await database.run<{ id: string; display_name: string }>(
    `/* names */ select id, display_name from users where id = any ($1::bigint[])`,
    [userIds],
  )
  return new Map(users.map((user) => [user.id, user.display_name]))
}

/** Whether the oldest that is unread came before a moment. */
async function isOlder(database: Database, row: Row, moment: Date): Promise<boolean> {
  const seq = Math.max(row.last_read_seq + 1, row.first_seq)
  const [oldest] = await readSpan(database, row.id, { from: seq, to: seq }, 'start')
  return oldest !== undefined && snowflakeTime(oldest.id) < moment
}

/** The last lines that are worth showing: of people, not deleted, and of nobody whom the user has blocked. */
async function readLines(database: Database, userId: string, row: Row): Promise<UnreadLine[]> {
  const from = Math.max(row.last_read_seq + 1, row.first_seq, row.last_seq - lookBack + 1)
  const messages = await readSpan(database, row.id, { from, to: row.last_seq }, 'end')
  const authors = [...new Set(messages.map((message) => message.authorId))]
  const blocked = await database.run<{ blocked_id: string }>(
    `/* blocked of these */ select blocked_id from blocks where user_id = $1 and blocked_id = any ($2::bigint[])`,
    [userId, authors],
  )
  const unwanted = new Set(blocked.map((block) => block.blocked_id))
  const isWorth = ({ kind, deletedAt, authorId, mentionIds }: MessageRow) =>
    (kind === 'USER' || kind === 'ACTION') &&
    deletedAt === null &&
    !unwanted.has(authorId) &&
    (row.notification_level === 'ALL' || mentionIds.includes(userId))
  const shown = messages.filter(isWorth).slice(-linesOfEach)
  const names = await findNames(database, authors)
  return shown.map(({ authorId, kind, content }) => ({
    author: names.get(authorId) ?? '',
    isAction: kind === 'ACTION',
    excerpt: isBlank(content) ? null : excerptOf(content),
  }))
}

/** The beginning of a message as one line. */
function excerptOf(content: string): string {
  const near = firstCodePoints(content, 4 * maxExcerpt)
  const line = near.replaceAll(/\s+/g, ' ').trim()
  const cut = cutToCodePoints(line, maxExcerpt)
  return cut === line && near.length < content.length ? `${line} …` : cut
}
