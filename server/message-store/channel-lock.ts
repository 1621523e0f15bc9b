import { and, eq, sql } from 'drizzle-orm'
import type { Database, Transaction } from '../../drizzle/connection.ts'
import { channelBuckets, channels, members, messageChanges, messages } from '../../drizzle/tables/index.ts'
import { messageTerms } from '../lib/search-terms.ts'
import { nullIfEmpty } from '../lib/sql.ts'
import { createTurns, type Turns } from '../lib/turns.ts'
import { bucketOf } from './bucket-time.ts'
import type { Change, MessageChangeKind } from './changes.ts'
import { readMessage } from './pages.ts'
import { withBucket } from './partitions.ts'
import type { ChannelRow, MemberRow, MessageRow } from './rows.ts'
import { clockSlackMs } from './send.ts'
import { compareSnowflakes, snowflakeAt } from './snowflake.ts'

/** What may happen to a message: what it says is written anew, the rest stands beside it. */
type TouchedParts = Pick<MessageRow, 'content' | 'editedAt' | 'deletedAt' | 'pinnedAt' | 'mentionIds' | 'attachmentIds' | 'replyCount'>

/** A channel whose row this transaction holds: the only place but the send and append statements to number anything. */
export type LockedChannel = {
  /** The channel as it was when it was locked. */
  row: ChannelRow
  tx: Transaction
  /** Writes a message of the system's, in `author`'s name. */
  append(kind: MessageRow['kind'], authorId: string, content: string): Promise<MessageRow>
  /** Changes a message and gives it its next version. */
  touchMessage(
    messageId: string,
    kind: Exclude<MessageChangeKind, 'CREATED'>,
    set: Partial<TouchedParts>,
  ): Promise<MessageRow>
  /** Lets somebody in, with the read position at the end; somebody who was here before comes back. */
  admit(userId: string, role: MemberRow['role']): Promise<MemberRow>
  /** Gives a member another role. */
  setRole(userId: string, role: MemberRow['role']): Promise<MemberRow>
  /** Ends a membership. */
  dismiss(userId: string): Promise<MemberRow>
  /** Changes name, topic, slow mode, or after how long messages disappear, and from which seq on. */
  setInfo(set: Partial<Pick<ChannelRow, 'name' | 'topic' | 'slowModeSeconds' | 'expireAfterSeconds' | 'disappearedSeq'>>): void
  /** Lets a member write again only after this moment; null at once. */
  silence(userId: string, until: Date | null): Promise<MemberRow>
  /** Notes that messages up to this seq have disappeared, which is no change that anybody is told of. */
  setDisappeared(seq: number): void
}

/** Changes that wait for their channel longer than this find it too busy. Milliseconds. */
const maxWaitMs = 5_000

/** The turns of each database's channels. */
const turnsOf = new WeakMap<Database, Turns>()

/**
 * Runs `work` with the channel's row locked, in one transaction, and writes what it did to the channel's counters.
 * Returns its result and the changes it made, in order, to be announced. Null where there is no such channel. Where the
 * month that it writes into has no partition yet, `work` runs a second time, after the first was rolled back.
 *
 * The changes of one channel take turns before they take a connection: the row would let only one of them go on anyway,
 * and the others would keep the pool from everybody else while they wait.
 */
export async function changeChannel<Result>(
  database: Database,
  channelId: string,
  work: (channel: LockedChannel) => Promise<Result>,
): Promise<{ result: Result; changes: Change[] } | null> {
  const turns = turnsOf.get(database) ?? createTurns(maxWaitMs)
  turnsOf.set(database, turns)
  const change = () =>
    database.transaction(async (tx) => {
      const [row] = await tx.orm.select().from(channels).where(eq(channels.id, channelId)).for('no key update')
      if (row === undefined) return null
      const locked = lockedChannel(tx, row)
      const result = await work(locked.channel)
      await locked.save()
      return { result, changes: locked.changes }
    })
  return turns.take(channelId, () => withBucket(database, channelId, change))
}

/** The same for a channel that this transaction has just made, which nobody else can see yet. */
export function lockedChannel(tx: Transaction, row: ChannelRow) {
  const head = { ...row }
  const changes: Change[] = []
  const isMember = (userId: string) => and(eq(members.channelId, row.id), eq(members.userId, userId))

  function record(what: { type: 'member'; member: MemberRow } | { type: 'channel' } | MessageChange, change: number) {
    changes.push({ channelId: row.id, change, seq: head.lastSeq, ...what })
  }

  /** The next id: near the clock, and after the newest. */
  async function nextId(): Promise<string> {
    const [clock] = await tx.run<{ now: Date }>('select clock_timestamp() as now', [])
    const proposed = snowflakeAt(Math.min(Math.max(Date.now(), +clock!.now - clockSlackMs), +clock!.now + clockSlackMs))
    return compareSnowflakes(proposed, head.lastId) > 0 ? proposed : (BigInt(head.lastId) + 1n).toString()
  }

  /** Writes anew what a message says, and with it what it is found by. */
  async function rewrite(messageId: string, said: Omit<Partial<TouchedParts>, 'replyCount' | 'pinnedAt'>) {
    const { content, mentionIds, attachmentIds } = said
    await tx.orm
      .update(messages)
      .set({
        ...said,
        ...(content === undefined ? {} : { terms: nullIfEmpty(messageTerms(row.id, content)) }),
        ...(mentionIds === undefined ? {} : { mentionIds: nullIfEmpty(mentionIds) }),
        ...(attachmentIds === undefined ? {} : { attachmentIds: nullIfEmpty(attachmentIds) }),
      })
      .where(and(eq(messages.channelId, row.id), eq(messages.id, messageId)))
  }

  async function touchMember(userId: string, set: Partial<MemberRow>): Promise<MemberRow> {
    const change = ++head.lastChange
    const [member] = await tx.orm.update(members).set({ ...set, change }).where(isMember(userId)).returning()
    if (member === undefined) throw new Error('Touched a membership that does not exist')
    record({ type: 'member', member }, change)
    return member
  }

  const channel: LockedChannel = {
    row,
    tx,

    async append(kind, authorId, content) {
      const change = ++head.lastChange
      const isFirst = head.lastSeq === 0 || head.lastSeq < head.firstSeq
      const seq = ++head.lastSeq
      head.firstSeq ||= seq
      const id = await nextId()
      const bucket = bucketOf(id)
      if (isFirst || bucket > bucketOf(head.lastId)) {
        await tx.orm.insert(channelBuckets).values({ channelId: row.id, firstSeq: seq, firstChange: change, bucket })
      }
      head.lastId = id
      await tx.orm.insert(messages).values({ channelId: row.id, id, seq, change, kind, authorId, content })
      await tx.orm
        .update(members)
        .set({ lastReadSeq: sql`greatest(${members.lastReadSeq}, ${seq}::int)` })
        .where(isMember(authorId))
      const message = (await readMessage(tx, { channelId: row.id, messageId: id }))!
      record({ type: 'message', kind: 'CREATED', message }, change)
      return message
    },

    async touchMessage(messageId, kind, set) {
      const change = ++head.lastChange
      const { replyCount, pinnedAt, ...said } = set
      if (Object.keys(said).length > 0) await rewrite(messageId, said)
      const beside = { change, kind, ...(replyCount === undefined ? {} : { replyCount }), ...(pinnedAt === undefined ? {} : { pinnedAt }) }
      await tx.orm
        .insert(messageChanges)
        .values({ channelId: row.id, messageId, ...beside })
        .onConflictDoUpdate({ target: [messageChanges.channelId, messageChanges.messageId], set: beside })
      const message = await readMessage(tx, { channelId: row.id, messageId })
      if (message === null) throw new Error('Touched a message that does not exist')
      record({ type: 'message', kind, message }, change)
      return message
    },

    async admit(userId, role) {
      const change = ++head.lastChange
      head.memberCount++
      const standing = {
        role,
        joinedAt: new Date(),
        leftAt: null,
        change,
        joinedSeq: head.lastSeq,
        joinedChange: change,
        lastReadSeq: head.lastSeq,
      }
      const [member] = await tx.orm
        .insert(members)
        .values({ channelId: row.id, userId, ...standing })
        .onConflictDoUpdate({ target: [members.channelId, members.userId], set: standing })
        .returning()
      record({ type: 'member', member: member! }, change)
      return member!
    },

    setRole(userId, role) {
      head.membershipVersion++
      return touchMember(userId, { role })
    },

    dismiss(userId) {
      head.membershipVersion++
      head.memberCount--
      return touchMember(userId, { leftAt: new Date(), role: 'MEMBER' })
    },

    silence(userId, until) {
      head.membershipVersion++
      return touchMember(userId, { silencedUntil: until })
    },

    setInfo(set) {
      Object.assign(head, set)
      // Who writes remembers it with the right to.
      if (set.slowModeSeconds !== undefined) head.membershipVersion++
      head.infoChange = ++head.lastChange
      record({ type: 'channel' }, head.infoChange)
    },

    setDisappeared(seq) {
      head.disappearedSeq = seq
    },
  }

  return {
    channel,
    changes,
    /** Writes the counters back. */
    async save(): Promise<ChannelRow> {
      if (changes.length > 0 || head.disappearedSeq !== row.disappearedSeq) {
        const { id: _, kind: __, createdAt: ___, ...counters } = head
        await tx.orm.update(channels).set(counters).where(eq(channels.id, row.id))
      }
      return head
    },
  }
}

type MessageChange = { type: 'message'; kind: MessageChangeKind; message: MessageRow }
