import type { ChannelKind, MemberRole } from '../message-store/rows.ts'

/** How somebody stands to a channel: their role, or NONE. */
export type Standing = MemberRole | 'NONE'

export const actions = [
  'see',
  'read',
  'post',
  'react',
  'editOwn',
  'deleteOwn',
  'deleteAny',
  'pin',
  'update',
  'setExpiry',
  'join',
  'leave',
  'addMember',
  'removeMember',
  'setRole',
  'setSlowMode',
  'ban',
  'silence',
  'readReports',
  'readAuditLog',
] as const

export type Action = (typeof actions)[number]

/**
 * Who may do what, in which kind of channel: the letters of those who may. O owner, A admin, M member, - anybody else.
 *
 * `see` is the channel itself, its name and size; `read` is what is said in it and who its members are. Removing
 * somebody, banning and silencing them needs a higher role than theirs, besides: `outranks`. Slow mode does not count for
 * those who may set it.
 */
export const permissions: Record<Action, Record<ChannelKind, string>> = {
  see: { DIRECT: 'M', GROUP: 'OAM', PUBLIC: 'OAM-' },
  read: { DIRECT: 'M', GROUP: 'OAM', PUBLIC: 'OAM' },
  post: { DIRECT: 'M', GROUP: 'OAM', PUBLIC: 'OAM' },
  react: { DIRECT: 'M', GROUP: 'OAM', PUBLIC: 'OAM' },
  editOwn: { DIRECT: 'M', GROUP: 'OAM', PUBLIC: 'OAM' },
  deleteOwn: { DIRECT: 'M', GROUP: 'OAM', PUBLIC: 'OAM' },
  deleteAny: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OA' },
  pin: { DIRECT: 'M', GROUP: 'OAM', PUBLIC: 'OA' },
  update: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OA' },
  setExpiry: { DIRECT: 'M', GROUP: 'OA', PUBLIC: 'OA' },
  join: { DIRECT: '', GROUP: '', PUBLIC: 'OAM-' },
  leave: { DIRECT: '', GROUP: 'OAM', PUBLIC: 'OAM' },
  addMember: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OAM' },
  removeMember: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OA' },
  setRole: { DIRECT: '', GROUP: 'O', PUBLIC: 'O' },
  setSlowMode: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OA' },
  ban: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OA' },
  silence: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OA' },
  readReports: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OA' },
  readAuditLog: { DIRECT: '', GROUP: 'OA', PUBLIC: 'OA' },
}

/**
 * What nobody may do in a DIRECT channel that is shut: add to it, or decide how long what the other says stays. It is
 * read on, and one's own words can be taken back.
 */
export const shutOut: ReadonlySet<Action> = new Set(['post', 'react', 'editOwn', 'pin', 'setExpiry'])

/** What nobody may do whom those who keep order have silenced. */
export const silenced: ReadonlySet<Action> = new Set(['post', 'react', 'editOwn', 'pin', 'update', 'setExpiry'])

const letters: Record<Standing, string> = { OWNER: 'O', ADMIN: 'A', MEMBER: 'M', NONE: '-' }

/** Whether somebody of this standing may do this in a channel of this kind. */
export const may = (standing: Standing, action: Action, kind: ChannelKind): boolean =>
  permissions[action][kind].includes(letters[standing])

const ranks: Record<Standing, number> = { NONE: 0, MEMBER: 1, ADMIN: 2, OWNER: 3 }

/** Whether a role stands above another: an admin removes members, and owners remove admins. */
export const outranks = (actor: Standing, other: Standing): boolean => ranks[actor] > ranks[other]
