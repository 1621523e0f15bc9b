import type { channels, members, messages } from '../../drizzle/tables/index.ts'

export type ChannelRow = typeof channels.$inferSelect
export type ChannelKind = ChannelRow['kind']
export type MemberRow = typeof members.$inferSelect
export type MemberRole = MemberRow['role']
export type MessageRow = typeof messages.$inferSelect
export type MessageKind = MessageRow['kind']

/** A row of `messages` as Postgres names its columns. */
export type RawMessage = {
  channel_id: string
  id: string
  seq: number
  change: number
  version: number
  kind: MessageKind
  author_id: string
  content: string
  reply_to_id: string | null
  reply_count: number
  mention_ids: string[]
  edited_at: Date | null
  deleted_at: Date | null
  pinned_at: Date | null
}

export const toMessageRow = (raw: RawMessage): MessageRow => ({
  channelId: raw.channel_id,
  id: raw.id,
  seq: raw.seq,
  change: raw.change,
  version: raw.version,
  kind: raw.kind,
  authorId: raw.author_id,
  content: raw.content,
  replyToId: raw.reply_to_id,
  replyCount: raw.reply_count,
  mentionIds: raw.mention_ids,
  editedAt: raw.edited_at,
  deletedAt: raw.deleted_at,
  pinnedAt: raw.pinned_at,
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
})
