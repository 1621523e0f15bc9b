import type { channels, members, messages } from '../../drizzle/tables/index.ts'

export type ChannelRow = typeof channels.$inferSelect
export type ChannelKind = ChannelRow['kind']
export type MemberRow = typeof members.$inferSelect
export type MemberRole = MemberRow['role']
export type MessageKind = (typeof messages.$inferSelect)['kind']

/** A message in its latest state, with what happened to it since it was created. */
export type MessageRow = Omit<typeof messages.$inferSelect, 'mentionIds' | 'attachmentIds' | 'terms'> & {
  mentionIds: string[]
  /** In the order in which their author put them; they are the author's. */
  attachmentIds: string[]
  /** The change that last touched it. */
  version: number
  replyCount: number
  pinnedAt: Date | null
}

/** A message as statements give it that select `messageColumns`. */
export type RawMessage = {
  channel_id: string
  id: string
  author_id: string
  reply_to_id: string | null
  seq: number
  change: number
  edited_at: Date | null
  deleted_at: Date | null
  kind: MessageKind
  content: string
  mention_ids: string[] | null
  attachment_ids: string[] | null
  /** What happened to it since: the newest change, its replies, and when it was pinned. */
  touched: [change: number, replyCount: number, pinnedAt: string | null] | null
}

/** A message `m` as it was written. */
const writtenColumns = `m.channel_id, m.id, m.author_id, m.reply_to_id, m.seq, m.change, m.edited_at, m.deleted_at, m.kind,
  m.content, m.mention_ids, m.attachment_ids`

/**
 * What makes a RawMessage of a message `m` of the channel `$1`. What happened to it is looked up for each, as there are
 * few: a join would leave it to the planner, which does not know that, and reads the whole table once. The channel is
 * named once more, so that a statement about one channel needs nothing but the machine that the channel is on.
 */
export const messageColumns = touchedColumns('t.channel_id = $1')

/** The same of messages of several channels, which `$1` is an array of. */
export const messageColumnsOfMany = touchedColumns('t.channel_id = m.channel_id and t.channel_id = any ($1::bigint[])')

function touchedColumns(isInChannel: string): string {
  return `${writtenColumns}, (
    select json_build_array(t.change, t.reply_count, t.pinned_at) from message_changes t
    where ${isInChannel} and t.message_id = m.id
  ) as touched`
}

export const toMessageRow = (raw: RawMessage): MessageRow => ({
  channelId: raw.channel_id,
  id: raw.id,
  authorId: raw.author_id,
  replyToId: raw.reply_to_id,
  seq: raw.seq,
  change: raw.change,
  editedAt: raw.edited_at,
  deletedAt: raw.deleted_at,
  kind: raw.kind,
  content: raw.content,
  mentionIds: raw.mention_ids ?? [],
  attachmentIds: raw.attachment_ids ?? [],
  version: raw.touched?.[0] ?? raw.change,
  replyCount: raw.touched?.[1] ?? 0,
  pinnedAt: raw.touched?.[2] == null ? null : new Date(raw.touched[2]),
})

/** A row of `members` as Postgres names its columns. */
export type RawMember = {
  channel_id: string
  user_id: string
  role: MemberRole
  joined_at: Date
  left_at: Date | null
  change: number
  joined_seq: number
  joined_change: number
  last_read_seq: number
  notification_level: MemberRow['notificationLevel']
  muted_until: Date | null
  silenced_until: Date | null
}

export const toMemberRow = (raw: RawMember): MemberRow => ({
  channelId: raw.channel_id,
  userId: raw.user_id,
  role: raw.role,
  joinedAt: raw.joined_at,
  leftAt: raw.left_at,
  change: raw.change,
  joinedSeq: raw.joined_seq,
  joinedChange: raw.joined_change,
  lastReadSeq: raw.last_read_seq,
  notificationLevel: raw.notification_level,
  mutedUntil: raw.muted_until,
  silencedUntil: raw.silenced_until,
})
