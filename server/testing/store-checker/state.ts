import type { Database } from '../../../drizzle/connection.ts'
import { migrate } from '../../../drizzle/migrate.ts'
import { channels } from '../../../drizzle/tables/index.ts'
import { changeChannel, type LockedChannel } from '../../message-store/channel-lock.ts'
import type { Change } from '../../message-store/changes.ts'
import { bucketOf } from '../../message-store/bucket-time.ts'
import { readMessage, readSpan } from '../../message-store/pages.ts'
import { ensureBuckets } from '../../message-store/partitions.ts'
import type { MessageRow } from '../../message-store/rows.ts'
import { hashOf, type Send } from '../../message-store/send.ts'
import type { Body } from './facts.ts'

/*
 * What the checker knows of how the store keeps its things: the only statements of its own. All else goes through the
 * store's functions.
 */

/** Makes the tables. */
export async function makeTables(database: Database): Promise<void> {
  await migrate(database)
  await ensureBuckets(database)
}

/** Makes a channel with members; gives what changed. */
export async function makeChannel(database: Database, id: string, userIds: readonly string[]): Promise<Change[]> {
  await database.orm.insert(channels).values({ id, kind: 'GROUP', name: `channel ${id}`, createdAt: new Date() })
  const done = await changeChannel(database, id, async (channel) => {
    for (const userId of userIds) await channel.admit(userId, 'MEMBER')
  })
  return done!.changes
}

/** The membership version at which somebody may post; null where they may not. */
export async function readRights(database: Database, channelId: string, userId: string): Promise<number | null> {
  const [row] = await database.run<{ membership_version: number }>(
    `select membership_version from channels where id = $1
     and exists (select from members where channel_id = $1 and user_id = $2 and left_at is null)`,
    [channelId, userId],
  )
  return row?.membership_version ?? null
}

/** A membership as it stands while the channel is locked. */
export async function lockedMember(channel: LockedChannel, userId: string): Promise<{ change: number; isIn: boolean }> {
  const [row] = await channel.tx.run<{ change: number; left_at: Date | null }>(
    'select change, left_at from members where channel_id = $1 and user_id = $2',
    [channel.row.id, userId],
  )
  return { change: row!.change, isIn: row!.left_at === null }
}

/** A message as it stands while the channel is locked. */
export const lockedMessage = async (channel: LockedChannel, messageId: string): Promise<MessageRow> =>
  (await readMessage(channel.tx, { channelId: channel.row.id, messageId }))!

/** Edits a message, as the service does. */
export async function edit(
  channel: LockedChannel,
  message: MessageRow,
  content: string,
  mentionIds: string[],
): Promise<void> {
  await replaceMentions(channel, message, mentionIds)
  await channel.touchMessage(message.id, 'EDITED', { content, mentionIds, editedAt: new Date() })
}

/** Deletes a message, as the service does; what it answered counts it no longer. */
export async function remove(channel: LockedChannel, message: MessageRow): Promise<void> {
  await replaceMentions(channel, message, [])
  const set = { content: '', mentionIds: [], deletedAt: new Date(), pinnedAt: null }
  await channel.touchMessage(message.id, 'DELETED', set)
  const { replyToId, seq } = message
  if (replyToId === null) return
  await channel.tx.run(
    'update replies set deleted = true where channel_id = $1 and root_id = $2 and seq = $3',
    [channel.row.id, replyToId, seq],
  )
  const root = await lockedMessage(channel, replyToId)
  await channel.touchMessage(replyToId, 'ENRICHED', { replyCount: root.replyCount - 1 })
}

export const pin = (channel: LockedChannel, message: MessageRow, wanted: boolean) =>
  channel.touchMessage(message.id, 'PINS_CHANGED', { pinnedAt: wanted ? new Date() : null })

export const react = (channel: LockedChannel, message: MessageRow) =>
  channel.touchMessage(message.id, 'REACTIONS_CHANGED', {})

async function replaceMentions(channel: LockedChannel, message: MessageRow, mentionIds: string[]): Promise<void> {
  const here = [channel.row.id, message.seq]
  await channel.tx.run('delete from mentions where channel_id = $1 and seq = $2', here)
  await channel.tx.run(
    `insert into mentions (channel_id, user_id, seq, message_id)
     select $1, user_id, $2, $3 from unnest($4::bigint[]) as user_id`,
    [...here, message.id, mentionIds],
  )
}

/** A hash of what a send asks for, as the services make it. */
export const bodyHashOf = (content: string, replyToId: string | null): string =>
  hashOf(JSON.stringify(['USER', content, replyToId]))

/** What the store is given. */
export const toSend = (authorId: string, key: string, body: Body): Send => ({
  authorId,
  key,
  bodyHash: body.bodyHash,
  kind: 'USER',
  content: body.content,
  root: body.root,
  mentionIds: body.mentionIds,
})

/** What stands in the store of one channel, at one moment in which nobody writes. */
export type ChannelState = {
  head: {
    firstSeq: number
    lastSeq: number
    lastChange: number
    infoChange: number
    memberCount: number
    lastId: string
  }
  /** As a page tells them, in order. */
  messages: MessageRow[]
  /** How many rows there are, told by pages or not. */
  messageCount: number
  touches: { messageId: string; change: number }[]
  members: { userId: string; change: number; isIn: boolean; joinedSeq: number; lastReadSeq: number }[]
  /** The message of each key, by `keyOf`. */
  keys: Map<string, string>
  keyCount: number
  mentions: { userId: string; seq: number; messageId: string }[]
  replies: { rootId: string; seq: number; messageId: string; deleted: boolean }[]
  threads: { messageId: string; userId: string; lastReadSeq: number }[]
  /** Spans of seqs of which jobs are to be made. */
  outbox: { from: number; to: number }[]
  buckets: { firstSeq: number; firstChange: number; bucket: number }[]
}

/** The month that a message is kept in. */
export const bucketOfMessage = (message: MessageRow): number => bucketOf(message.id)

/** What a key is kept as. */
export const keyOf = (authorId: string, key: string): string => hashOf(`${authorId} ${key}`)

/** Messages in one page; the store cuts it short where they are long. */
const pageSize = 2_000

/** Reads all of a channel. */
export async function readState(database: Database, channelId: string): Promise<ChannelState> {
  const rows = <Row extends object>(text: string) => database.run<Row>(text, [channelId])
  const [head] = await rows<ChannelState['head']>(
    `select first_seq as "firstSeq", last_seq as "lastSeq", last_change as "lastChange", info_change as "infoChange",
            member_count as "memberCount", last_id as "lastId" from channels where id = $1`,
  )
  const messages: MessageRow[] = []
  for (let from = 1; from <= head!.lastSeq; ) {
    const to = Math.min(from + pageSize - 1, head!.lastSeq)
    const page = await readSpan(database, channelId, { from, to }, 'start')
    messages.push(...page)
    from = page.length === 0 ? to + 1 : page.at(-1)!.seq + 1
  }
  const [counted] = await rows<{ count: number }>('select count(*)::int as count from messages where channel_id = $1')
  const keys = await rows<{ key: string; message_id: string }>(
    `select replace(key_hash::text, '-', '') as key, message_id from send_keys where channel_id = $1`,
  )
  return {
    head: head!,
    messages,
    messageCount: counted!.count,
    touches: await rows('select message_id as "messageId", change from message_changes where channel_id = $1'),
    members: await rows(
      `select user_id as "userId", change, left_at is null as "isIn", joined_seq as "joinedSeq",
              last_read_seq as "lastReadSeq" from members where channel_id = $1`,
    ),
    keys: new Map(keys.map((row) => [row.key, row.message_id])),
    keyCount: keys.length,
    mentions: await rows(
      'select user_id as "userId", seq, message_id as "messageId" from mentions where channel_id = $1',
    ),
    replies: await rows(
      'select root_id as "rootId", seq, message_id as "messageId", deleted from replies where channel_id = $1',
    ),
    threads: await rows(
      `select message_id as "messageId", user_id as "userId", last_read_seq as "lastReadSeq" from threads
       where channel_id = $1`,
    ),
    outbox: await rows(
      'select first_seq as "from", last_seq as "to" from outbox where channel_id = $1 order by first_seq',
    ),
    buckets: await rows(
      `select first_seq as "firstSeq", first_change as "firstChange", bucket from channel_buckets where channel_id = $1
       order by first_seq`,
    ),
  }
}
