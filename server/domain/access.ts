import { and, eq, isNull, sql } from 'drizzle-orm'
import type { Orm } from '../../drizzle/connection.ts'
import { channels, members } from '../../drizzle/tables/index.ts'
import { forbidden, notFound } from '../errors.ts'
import type { ChannelRow, MemberRow } from '../message-store/rows.ts'
import { type Action, may, shutOut, silenced, type Standing } from './permissions.ts'

/** A channel and how the viewer stands to it, as one snapshot. */
export type Access = { channel: ChannelRow; member: MemberRow | null; standing: Standing }

/** What members and what others are told, where there is something better to say than that they may not. */
const denials: Partial<Record<Action, string>> = {
  join: 'This channel can only be entered by invitation.',
  leave: 'A direct channel cannot be left.',
}
const denialsOfStrangers: Partial<Record<Action, string>> = {
  see: 'This channel is not open to you.',
  read: 'Only members may read this channel.',
  post: 'Only members may write here.',
  react: 'Only members may react here.',
  join: 'This channel can only be entered by invitation.',
}

/** Whether a member may not write now, by the store's clock, which is one for all. */
const isSilenced = sql<boolean>`coalesce(${members.silencedUntil} > now(), false)`

/** Loads a channel with the viewer's membership; throws NOT_FOUND, about the input at `field`, where there is none. */
async function loadAccess(
  orm: Orm,
  viewerId: string,
  channelId: string,
  field: string,
): Promise<Access & { isSilenced: boolean }> {
  const [row] = await orm
    .select({ channel: channels, member: members, isSilenced })
    .from(channels)
    .leftJoin(
      members,
      and(eq(members.channelId, channels.id), eq(members.userId, viewerId), isNull(members.leftAt)),
    )
    .where(eq(channels.id, channelId))
  if (row === undefined) throw notFound('channel', field)
  return { ...row, standing: row.member?.role ?? 'NONE' }
}

/** Throws FORBIDDEN unless this standing allows the action. */
export function authorise(standing: Standing, action: Action, kind: ChannelRow['kind']): void {
  if (may(standing, action, kind)) return
  throw forbidden(
    standing === 'NONE'
      ? (denialsOfStrangers[action] ?? 'You are not a member of this channel.')
      : (denials[action] ?? 'Your role does not allow this.'),
  )
}

/**
 * Throws FORBIDDEN where the channel is shut to this action. Both of the two are told the same, so that it does not say
 * who has blocked whom.
 */
function checkOpen(channel: Pick<ChannelRow, 'shut'>, action: Action): void {
  if (channel.shut && shutOut.has(action)) throw forbidden('Nothing can be added to this conversation.')
}

/** Throws FORBIDDEN where those who keep order do not let a member do this now. */
function checkNotSilenced(member: MemberRow | null | undefined, isSilenced: boolean, action: Action): void {
  if (!isSilenced || !silenced.has(action)) return
  throw forbidden(`You can read here, and write again after ${member!.silencedUntil!.toISOString()}.`)
}

/**
 * Loads a channel and checks that the viewer may do `action` in it. `field` is the input that named the channel. Throws
 * NOT_FOUND or FORBIDDEN.
 */
export async function accessChannel(
  orm: Orm,
  viewerId: string,
  channelId: string,
  action: Action,
  field = 'channelId',
): Promise<Access> {
  const { isSilenced, ...access } = await loadAccess(orm, viewerId, channelId, field)
  authorise(access.standing, action, access.channel.kind)
  checkOpen(access.channel, action)
  checkNotSilenced(access.member, isSilenced, action)
  return access
}

/**
 * The viewer's standing, read while the channel is locked: what was true before the lock may not be any more. Throws
 * FORBIDDEN unless it allows the action.
 */
export async function authoriseLocked(
  orm: Orm,
  channel: Pick<ChannelRow, 'id' | 'kind' | 'shut'>,
  viewerId: string,
  action: Action,
): Promise<Standing> {
  const [found] = await orm.select({ member: members, isSilenced }).from(members).where(isMember(channel.id, viewerId))
  const standing = found?.member.role ?? 'NONE'
  authorise(standing, action, channel.kind)
  checkOpen(channel, action)
  checkNotSilenced(found?.member, found?.isSilenced ?? false, action)
  return standing
}

/** The membership of somebody who is in the channel now. */
export async function findMember(orm: Orm, channelId: string, userId: string): Promise<MemberRow | undefined> {
  const [member] = await orm.select().from(members).where(isMember(channelId, userId))
  return member
}

const isMember = (channelId: string, userId: string) =>
  and(eq(members.channelId, channelId), eq(members.userId, userId), isNull(members.leftAt))
