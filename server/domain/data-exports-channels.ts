import { and, eq } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { attachments } from '../../drizzle/tables/index.ts'
import { attachmentGlobalId, channelGlobalId, messageGlobalId, userGlobalId } from '../lib/global-id.ts'
import { isOneOf } from '../lib/sql.ts'
import { readMessages } from '../message-store/pages.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { snowflakeTime } from '../message-store/snowflake.ts'
import { formerChannels } from './account-deletion-messages.ts'
import { findOwnMessages, findOwnReactions, type OwnMessage } from './data-exports-messages.ts'
import type { ExportedText } from './data-exports-contents.ts'

type Runner = Pick<Database, 'run' | 'orm'>

/** What is read at once to be written: so many messages, and so many bytes of what they say. */
const writtenAtOnce = 500
const bytesAtOnce = 1_000_000

/** A membership with what its channel is called, as Postgres names the columns. */
type RawMembership = {
  channel_id: string
  kind: 'DIRECT' | 'GROUP' | 'PUBLIC'
  name: string | null
  topic: string | null
  peer_id: string | null
  role: string
  joined_at: Date
  left_at: Date | null
  last_read_seq: number
  notification_level: string
  muted_until: Date | null
}

const line = (value: unknown): string => `${JSON.stringify(value)}\n`

/** Where somebody is and was, a line each. What a channel that is closed to them is called now is not told. */
export async function* channelLines(database: Runner, userId: string): AsyncGenerator<string> {
  for await (const channelIds of formerChannels(database, userId)) {
    const rows = await database.run<RawMembership>(
      `/* memberships to export */ select m.channel_id, c.kind, c.name, c.topic, m.role, m.joined_at, m.left_at,
         m.last_read_seq, m.notification_level, m.muted_until, (
           select p.user_id from members p
           where p.channel_id = m.channel_id and p.channel_id = any ($1::bigint[]) and c.kind = 'DIRECT' and p.user_id <> $2
         ) as peer_id
       from members m join channels c on c.id = m.channel_id
       where m.channel_id = any ($1::bigint[]) and c.id = any ($1::bigint[]) and m.user_id = $2 order by m.channel_id`,
      [channelIds, userId],
    )
    for (const row of rows) {
      const isOpen = row.left_at === null || row.kind === 'PUBLIC'
      yield line({
        id: channelGlobalId(row.channel_id),
        kind: row.kind,
        name: isOpen ? row.name : null,
        topic: isOpen ? row.topic : null,
        directPeerId: row.peer_id === null ? null : userGlobalId(row.peer_id),
        role: row.role,
        joinedAt: row.joined_at,
        leftAt: row.left_at,
        lastReadSeq: row.last_read_seq,
        notificationLevel: row.notification_level,
        mutedUntil: row.muted_until,
      })
    }
  }
}

/** For each channel what somebody has said there, and what they have reacted with, where there is any. */
export async function* ownMessageFiles(database: Runner, userId: string): AsyncGenerator<ExportedText> {
  for await (const channelIds of formerChannels(database, userId)) {
    for (const channelId of channelIds) {
      const name = `${channelGlobalId(channelId)}.jsonl`
      yield* unlessEmpty(`messages/${name}`, messageLines(database, channelId, userId))
      yield* unlessEmpty(`reactions/${name}`, reactionLines(database, channelId, userId))
    }
  }
}

/** The file, where there is a first line of it. */
async function* unlessEmpty(path: string, lines: AsyncGenerator<string>): AsyncGenerator<ExportedText> {
  const first = await lines.next()
  if (first.done === true) return
  async function* all() {
    yield first.value as string
    yield* lines
  }
  yield { path, text: all() }
}

async function* messageLines(database: Runner, channelId: string, userId: string): AsyncGenerator<string> {
  for await (const { own } of findOwnMessages(database, channelId, userId)) {
    for (const some of portions(own)) {
      const found = await readMessages(database, some.map(({ id }) => ({ channelId, messageId: id })))
      const names = await filenamesOf(database, userId, found)
      for (const message of found.toSorted((a, b) => a.seq - b.seq)) yield line(messageOf(message, names))
    }
  }
}

/** Messages in portions that fit into memory whatever they say. */
export function* portions(messages: readonly OwnMessage[]): Generator<OwnMessage[]> {
  let portion: OwnMessage[] = []
  let bytes = 0
  for (const message of messages) {
    if (portion.length > 0 && (portion.length >= writtenAtOnce || bytes + message.bytes > bytesAtOnce)) {
      yield portion
      portion = []
      bytes = 0
    }
    portion.push(message)
    bytes += message.bytes
  }
  if (portion.length > 0) yield portion
}

async function filenamesOf(database: Runner, userId: string, messages: readonly MessageRow[]): Promise<Map<string, string>> {
  const ids = messages.flatMap(({ attachmentIds }) => attachmentIds)
  if (ids.length === 0) return new Map()
  const rows = await database.orm
    .select({ id: attachments.id, filename: attachments.filename })
    .from(attachments)
    .where(and(eq(attachments.userId, userId), isOneOf(attachments.id, ids)))
  return new Map(rows.map(({ id, filename }) => [id, filename]))
}

const messageOf = (message: MessageRow, filenames: Map<string, string>) => ({
  id: messageGlobalId(message.channelId, message.id),
  seq: message.seq,
  kind: message.kind,
  createdAt: snowflakeTime(message.id),
  editedAt: message.editedAt,
  replyToId: message.replyToId === null ? null : messageGlobalId(message.channelId, message.replyToId),
  content: message.content,
  mentionIds: message.mentionIds.map(userGlobalId),
  attachments: message.attachmentIds.map((id) => ({
    id: attachmentGlobalId(message.authorId, id),
    filename: filenames.get(id) ?? null,
  })),
})

async function* reactionLines(database: Runner, channelId: string, userId: string): AsyncGenerator<string> {
  for await (const given of findOwnReactions(database, channelId, userId)) {
    for (const { messageId, emoji } of given) yield line({ messageId: messageGlobalId(channelId, messageId), emoji })
  }
}
