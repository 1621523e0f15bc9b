import { createHash } from 'node:crypto'
import type { Database } from '../../drizzle/connection.ts'
import { messageTerms } from '../lib/search-terms.ts'
import { nullIfEmpty } from '../lib/sql.ts'
import type { Change } from './changes.ts'
import { readMessage } from './pages.ts'
import { withBucket } from './partitions.ts'
import { type MessageKind, type MessageRow, type RawMessage, toMessageRow } from './rows.ts'

/** A message on its way into the store. */
export type Send = {
  authorId: string
  /** Unique for its author within the channel. */
  key: string
  /** Hash of what was asked for, by `hashOf`: the same key with another body is a mistake of the client. */
  bodyHash: string
  kind: MessageKind
  content: string
  /** What it answers, which is in the channel. */
  root: Pick<MessageRow, 'id' | 'authorId' | 'seq'> | null
  mentionIds: string[]
  /** Files of the author's that it brings along; absent for none. */
  attachmentIds?: readonly string[] | undefined
}

/** What became of one send: stored now, stored before under the same key, or the key belongs to another body. */
export type SendOutcome =
  | { outcome: 'sent' | 'repeated'; message: MessageRow }
  | { outcome: 'conflict' }
  /** What was sent under the key has been removed by retention. */
  | { outcome: 'expired' }

export type BatchResult =
  /** Who may do what has moved since the writer looked: nothing was written, look again. */
  { moved: true } | { moved: false; outcomes: SendOutcome[]; changes: Change[] }

/** How far a proposed id may be from the store's own clock, in milliseconds, before it is pulled back to it. */
export const clockSlackMs = 5_000

/**
 * One call, so that it is one round trip, one commit, all or nothing. What it does, and why in that order, stands in
 * `drizzle/functions/send_messages.sql`.
 */
const sendStatement = `/* send */ select * from send_messages(
  $1, $2, $3, ${clockSlackMs}, $4::text[]::uuid[], $5::text[]::uuid[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[],
  $11::int[], $12::text[], $13::text[], $14::text[])`

/** A message that was answered says what it has attached beside how it was touched, as text: see `send_messages`. */
type RawAnswered = Omit<RawMessage, 'channel_id' | 'attachment_ids' | 'touched'> & {
  touched: [...NonNullable<RawMessage['touched']>, attachmentIds: string[] | null] | null
}

type RawSent = { place: number | null; head_seq: number } & (RawAnswered | { id: null })

/**
 * Writes a batch of sends to one channel. `proposedId` is where the writer's clock would begin; the store has the last
 * word. Outcomes come in the order of the sends; the changes are those that this batch made, in order, to be announced.
 */
export async function sendBatch(
  database: Database,
  channelId: string,
  membershipVersion: number,
  proposedId: string,
  sends: readonly Send[],
): Promise<BatchResult> {
  if (sends.length === 1 && sends[0]!.root === null) {
    return sendOne(database, channelId, membershipVersion, proposedId, sends[0]!)
  }
  const parameters = [
    channelId,
    membershipVersion,
    proposedId,
    sends.map(keyHash),
    sends.map((send) => send.bodyHash),
    sends.map((send) => send.authorId),
    sends.map((send) => send.kind),
    sends.map((send) => send.content),
    sends.map((send) => send.root?.id ?? null),
    sends.map((send) => send.root?.authorId ?? null),
    sends.map((send) => send.root?.seq ?? null),
    sends.map((send) => arrayLiteral(send.mentionIds)),
    sends.map((send) => arrayLiteral(messageTerms(channelId, send.content))),
    sends.map((send) => arrayLiteral(send.attachmentIds ?? [])),
  ]
  const rows = await withBucket(database, channelId, () => database.run<RawSent>(sendStatement, parameters))
  if (rows.length === 0) return { moved: true }

  const outcomes: (SendOutcome | undefined)[] = sends.map(() => undefined)
  const changes: Change[] = []
  for (const row of rows) {
    if (row.id === null) continue
    if (row.place === null) {
      const [touchedChange, replyCount, pinnedAt, attachmentIds] = row.touched!
      const touched: RawMessage['touched'] = [touchedChange, replyCount, pinnedAt]
      const message = toMessageRow({ ...row, channel_id: channelId, touched, attachment_ids: attachmentIds ?? null })
      changes.push({ channelId, change: message.version, seq: row.head_seq, type: 'message', kind: 'ENRICHED', message })
      continue
    }
    const message = newMessage(channelId, row, sends[row.place - 1]!)
    outcomes[row.place - 1] = { outcome: 'sent', message }
    changes.push({ channelId, change: message.change, seq: message.seq, type: 'message', kind: 'CREATED', message })
  }
  if (outcomes.includes(undefined)) await fillRepeated(database, channelId, sends, outcomes)
  return { moved: false, outcomes: outcomes as SendOutcome[], changes }
}

const sendOneStatement = `/* send one */ select send_message(
  $1, $2, $3, ${clockSlackMs}, $4::text::uuid, $5::text::uuid, $6, $7, $8, $9, $10, $11) as numbers`

/** The same for one send that answers nothing, as most do: a shorter way to the same. */
async function sendOne(
  database: Database,
  channelId: string,
  membershipVersion: number,
  proposedId: string,
  send: Send,
): Promise<BatchResult> {
  const parameters = [
    channelId,
    membershipVersion,
    proposedId,
    keyHash(send),
    send.bodyHash,
    send.authorId,
    send.kind,
    send.content,
    nullIfEmpty(send.mentionIds),
    nullIfEmpty(messageTerms(channelId, send.content)),
    nullIfEmpty(send.attachmentIds ?? []),
  ]
  const [row] = await withBucket(database, channelId, () =>
    database.run<{ numbers: string[] | null }>(sendOneStatement, parameters),
  )
  if (row!.numbers === null) return { moved: true }
  const [id, seq, change] = row!.numbers
  if (id === undefined) {
    const outcomes: (SendOutcome | undefined)[] = [undefined]
    await fillRepeated(database, channelId, [send], outcomes)
    return { moved: false, outcomes: outcomes as SendOutcome[], changes: [] }
  }
  const message = newMessage(channelId, { id, seq: Number(seq), change: Number(change) }, send)
  const created: Change = { channelId, change: message.change, seq: message.seq, type: 'message', kind: 'CREATED', message }
  return { moved: false, outcomes: [{ outcome: 'sent', message }], changes: [created] }
}

/** A UUID is sixteen bytes, whatever they mean. */
export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)

/** What a key is known by in the store: `key_hash`. */
export const keyHash = (send: Pick<Send, 'authorId' | 'key'>): string => hashOf(`${send.authorId} ${send.key}`)

/** An array of numbers as Postgres writes it; null for none, which takes no room. */
const arrayLiteral = (numbers: readonly (string | number)[]) => (numbers.length === 0 ? null : `{${numbers.join(',')}}`)

/** What was sent, as it stands in the store now. */
const newMessage = (channelId: string, { id, seq, change }: { id: string; seq: number; change: number }, send: Send): MessageRow => ({
  channelId,
  id,
  seq,
  change,
  version: change,
  kind: send.kind,
  authorId: send.authorId,
  content: send.content,
  replyToId: send.root?.id ?? null,
  replyCount: 0,
  mentionIds: send.mentionIds,
  attachmentIds: [...(send.attachmentIds ?? [])],
  editedAt: null,
  deletedAt: null,
  pinnedAt: null,
})

/**
 * Looks up what stands under the keys that were taken already. A key outlives its message by a little where retention
 * is at work: then it is taken, and there is nothing to show for it.
 */
async function fillRepeated(
  database: Database,
  channelId: string,
  sends: readonly Send[],
  outcomes: (SendOutcome | undefined)[],
): Promise<void> {
  const hashes = sends.map((send, place) => (outcomes[place] === undefined ? keyHash(send) : null))
  const rows = await database.run<{ key_hash: string; body_hash: string; message_id: string }>(
    `/* sent before */ select replace(key_hash::text, '-', '') as key_hash, replace(body_hash::text, '-', '') as body_hash,
            message_id
     from send_keys where channel_id = $1 and key_hash = any($2::text[]::uuid[])`,
    [channelId, hashes.filter((hash) => hash !== null)],
  )
  const known = new Map(rows.map((row) => [row.key_hash, row]))
  const messages = await Promise.all(rows.map((row) => readMessage(database, { channelId, messageId: row.message_id })))
  const byId = new Map(messages.map((message) => [message?.id, message]))
  sends.forEach((send, place) => {
    if (outcomes[place] !== undefined) return
    const key = known.get(hashes[place]!)
    const message = byId.get(key?.message_id) ?? null
    const isSame = key?.body_hash === send.bodyHash
    outcomes[place] =
      message === null ? { outcome: 'expired' } : isSame ? { outcome: 'repeated', message } : { outcome: 'conflict' }
  })
}
