import { createHash, randomBytes } from 'node:crypto'
import { and, asc, desc, eq, gt, lt, ne, or, type SQL, sql } from 'drizzle-orm'
import type { Database, Transaction } from '../../drizzle/connection.ts'
import { auditContents, auditLog } from '../../drizzle/tables/index.ts'
import { badInput } from '../errors.ts'
import type { MemberRole, MessageRow } from '../message-store/rows.ts'
import { compareSnowflakes, snowflakeAt } from '../message-store/snowflake.ts'
import type { Deps } from './deps.ts'
import { authoriseKeeper } from './moderation.ts'

export type AuditRow = typeof auditLog.$inferSelect
export type AuditAction = AuditRow['action']

/** What was done, by whom and to whom; what is left out there is not. */
export type AuditEntry = {
  /** Null where it is about no channel. */
  channelId: string | null
  /** Null for the operator's command. */
  actorId: string | null
  action: AuditAction
  subjectId?: string | null
  messageId?: string | null
  reportId?: string | null
  reason?: string | null
  detail?: AuditDetail | null
  /** What a deleted message said. */
  content?: string | null
}

/** What else there is to say of an action; moments as ISO 8601. */
export type AuditDetail = {
  /** Of a ban or a silence; null for good. */
  until?: string | null
  roleBefore?: MemberRole
  role?: MemberRole
  /** Of slow mode. */
  seconds?: number | null
  resolution?: 'DISMISSED' | 'ACTION_TAKEN'
}

/** What stands for no channel. */
export const noChannel = '0'

/**
 * Days for which it can be looked up what a deleted message said: long enough for whoever was wronged to complain, and
 * for somebody to look into it. Afterwards the log holds the hash alone, as people may ask for what they wrote to be
 * gone.
 */
export const contentDays = 90
const contentMs = contentDays * 86_400_000

/** Entries that are read at once when a log is verified. */
const verifiedAtOnce = 1_000

const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** The fields of an entry in the order in which they are hashed. */
const hashed = (row: Omit<AuditRow, 'hash'>) =>
  JSON.stringify([
    row.channelId,
    row.number,
    row.id,
    row.at.toISOString(),
    row.actorId,
    row.action,
    row.subjectId,
    row.messageId,
    row.reportId,
    row.reason,
    row.detail,
    row.contentHash === null ? null : toHex(row.contentHash),
    toHex(row.salt),
  ])

/** SHA-256 of an entry and the hash of the one before it, which is empty before the first. */
export const hashOfEntry = (before: Uint8Array, row: Omit<AuditRow, 'hash'>): Buffer =>
  createHash('sha256').update(before).update(hashed(row)).digest()

const hashOfContent = (salt: Uint8Array, content: string): Buffer =>
  createHash('sha256').update(salt).update(content).digest()

/**
 * Adds an entry to the log, in the transaction of what it tells. Entries of one channel take turns until their
 * transactions are over: whoever holds the channel's lock, too, has taken that first.
 */
export async function writeAudit(tx: Transaction, entry: AuditEntry): Promise<void> {
  const channelId = entry.channelId ?? noChannel
  await tx.run('/* audit turn */ select pg_advisory_xact_lock(hashtextextended($1, 0))', [`audit ${channelId}`])
  const [last] = await tx.orm
    .select()
    .from(auditLog)
    .where(eq(auditLog.channelId, channelId))
    .orderBy(desc(auditLog.number))
    .limit(1)
  const at = new Date()
  const proposed = snowflakeAt(+at)
  const contentSalt = randomBytes(16)
  const content = entry.content ?? null
  const row = {
    channelId,
    number: (last?.number ?? 0) + 1,
    // A clock that was set back does not turn the order round.
    id: last === undefined || compareSnowflakes(proposed, last.id) > 0 ? proposed : (BigInt(last.id) + 1n).toString(),
    at,
    actorId: entry.actorId,
    action: entry.action,
    subjectId: entry.subjectId ?? null,
    messageId: entry.messageId ?? null,
    reportId: entry.reportId ?? null,
    reason: entry.reason ?? null,
    detail: entry.detail == null ? null : JSON.stringify(entry.detail),
    contentHash: content === null ? null : hashOfContent(contentSalt, content),
    salt: randomBytes(16),
  }
  await tx.orm.insert(auditLog).values({ ...row, hash: hashOfEntry(last?.hash ?? Buffer.alloc(0), row) })
  if (content === null) return
  const kept = { channelId, number: row.number, content, salt: contentSalt }
  await tx.orm.insert(auditContents).values({ ...kept, expiresAt: new Date(+at + contentMs) })
}

/** Notes that somebody else than its author deletes a message, with what it says. */
export const noteDeletion = (
  tx: Transaction,
  { channelId, id: messageId, authorId: subjectId, content }: MessageRow,
  by: Pick<AuditEntry, 'reason' | 'reportId'> & { actorId: string },
): Promise<void> => writeAudit(tx, { channelId, action: 'MESSAGE_DELETED', subjectId, messageId, content, ...by })

/** What came of verifying the entries of one channel. */
export type Verified = {
  /** 0 for those that are about no channel. */
  channelId: string
  entries: number
  /** The hash of the last one, in hex: kept elsewhere, it tells later whether entries were cut off at the end. */
  hash: string
  /** The number of the first entry that is not as it was written, or is missing; null where all are. */
  brokenAt: number | null
}

/** Computes the hashes of a channel's entries anew, and of what is kept of deleted messages. */
export async function verifyChannel({ orm }: Pick<Database, 'orm'>, channelId: string): Promise<Verified> {
  let before: Uint8Array = Buffer.alloc(0)
  let entries = 0
  for (;;) {
    const rows = await orm
      .select({ entry: auditLog, kept: auditContents })
      .from(auditLog)
      .leftJoin(
        auditContents,
        and(eq(auditContents.channelId, auditLog.channelId), eq(auditContents.number, auditLog.number)),
      )
      .where(and(eq(auditLog.channelId, channelId), gt(auditLog.number, entries)))
      .orderBy(asc(auditLog.number))
      .limit(verifiedAtOnce)
    for (const { entry, kept } of rows) {
      const isNext = entry.number === entries + 1
      const isAsWritten = hashOfEntry(before, entry).equals(entry.hash)
      const isContentAsWritten = kept === null || isSame(hashOfContent(kept.salt, kept.content), entry.contentHash)
      if (!isNext || !isAsWritten || !isContentAsWritten) {
        return { channelId, entries, hash: toHex(before), brokenAt: entries + 1 }
      }
      entries++
      before = entry.hash
    }
    if (rows.length < verifiedAtOnce) return { channelId, entries, hash: toHex(before), brokenAt: null }
  }
}

const isSame = (one: Buffer, other: Uint8Array | null) => other !== null && one.equals(other)

/** The channels that have entries, by id; 0 for those that are about none. */
export async function auditedChannels({ orm }: Pick<Database, 'orm'>): Promise<string[]> {
  const rows = await orm.selectDistinct({ channelId: auditLog.channelId }).from(auditLog).orderBy(asc(auditLog.channelId))
  return rows.map((row) => row.channelId)
}

/** An entry as it is shown: with what the deleted message said, as long as that is kept. */
export type AuditView = AuditRow & { content: string | null }

/** Where an entry stands in the order of everything. */
type AuditPlace = Pick<AuditRow, 'id' | 'channelId'>

export type AuditLogService = ReturnType<typeof createAuditLogService>

/**
 * Leaves out that a report about somebody was resolved: they are not to know that there was one. Nor may the gap tell it:
 * that is why nobody is shown the numbers of entries, and nobody can compute their hashes from what is shown.
 */
const isShownTo = (viewerId: string): SQL => or(ne(auditLog.action, 'REPORT_RESOLVED'), ne(auditLog.subjectId, viewerId))!

/** An entry as this viewer may see it: that their message was reported is not said where it was deleted for that. */
const asShownTo = (viewerId: string, entry: AuditView): AuditView =>
  entry.reportId !== null && entry.subjectId === viewerId ? { ...entry, reportId: null, reason: null } : entry

/** Reading the log. It is written by whoever does what it tells of: `writeAudit`. */
export function createAuditLogService({ database }: Pick<Deps, 'database'>) {
  const { orm } = database

  const before = ({ id, channelId }: AuditPlace): SQL =>
    sql`(${auditLog.id}, ${auditLog.channelId}) < (${id}::bigint, ${channelId}::bigint)`

  /** The same in one channel: by its number there, as that is what the channel's entries lie by. */
  async function beforeInChannel(channelId: string, { id }: AuditPlace): Promise<SQL> {
    const [entry] = await orm
      .select({ number: auditLog.number })
      .from(auditLog)
      .where(and(eq(auditLog.id, id), eq(auditLog.channelId, channelId)))
    if (entry === undefined) throw badInput('This is not a cursor of this list.', 'after')
    return lt(auditLog.number, entry.number)
  }

  return {
    /**
     * What was done in a channel, or everywhere, the latest first: `first` entries after the one of `after`. Whoever was
     * reported is told nothing of that. Throws FORBIDDEN where the viewer does not keep order there, and BAD_USER_INPUT
     * where a channel's log has no such entry.
     */
    async list(
      viewerId: string,
      channelId: string | null,
      first: number,
      after: AuditPlace | null,
    ): Promise<AuditView[]> {
      await authoriseKeeper(orm, viewerId, channelId, 'readAuditLog')
      const place = after === null ? undefined : channelId === null ? before(after) : await beforeInChannel(channelId, after)
      const rows = await orm
        .select({ entry: auditLog, content: auditContents.content })
        .from(auditLog)
        .leftJoin(
          auditContents,
          and(eq(auditContents.channelId, auditLog.channelId), eq(auditContents.number, auditLog.number)),
        )
        .where(and(channelId === null ? undefined : eq(auditLog.channelId, channelId), isShownTo(viewerId), place))
        // Within a channel ids and numbers are in the same order, and the key is by number.
        .orderBy(...(channelId === null ? [desc(auditLog.id), desc(auditLog.channelId)] : [desc(auditLog.number)]))
        .limit(first)
      return rows.map(({ entry, content }) => asShownTo(viewerId, { ...entry, content }))
    },
  }
}
