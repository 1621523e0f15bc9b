import type { Database, Transaction } from '../../drizzle/connection.ts'
import { touchAccounts } from '../domain/accounts.ts'
import { addNameKeys, publicChannel } from '../domain/name-keys.ts'
import { skipFeed } from '../domain/feed-writing.ts'
import { admitAll, type Append, appendBatch } from '../message-store/append.ts'
import { bucketOf } from '../message-store/bucket-time.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { type SnowflakeSource, snowflakeTime } from '../message-store/snowflake.ts'
import { ImportError } from './entry.ts'
import { lockImports } from './import-lock.ts'
import { createMentions, findMembers } from './mentions.ts'
import type { People } from './people.ts'
import { type Place, refuseNewer } from './places.ts'
import { type ChannelPlan, createDigest, type PlannedMessage } from './plan.ts'

/** Characters of text in one transaction: some of the largest messages there are. */
const maxBatchCharacters = 1_000_000

export type LoadOptions = {
  database: Database
  snowflakes: SnowflakeSource
  source: string
  people: People
  /** Messages in one transaction, at the most. */
  batchSize: number
  signal: AbortSignal
  onMessages: (messages: readonly PlannedMessage[], mentions: number) => void
}

/**
 * Writes what is missing of one channel, batch by batch. How far it has come is written in the same transactions, so
 * that a run which ends anywhere, however it ends, is gone on with by the next. A new channel can be found and joined
 * only once all of it is in: what somebody said in half of it would stand in the way of the rest.
 */
export async function loadChannel(options: LoadOptions, plan: ChannelPlan, place: Place): Promise<void> {
  const { database, source } = options
  const channelId = await openChannel(options, plan, place)
  await ensureBuckets(database, bucketOf(plan.messages[0]!.id), bucketOf(plan.messages.at(-1)!.id))
  const authors = [...new Set(plan.messages.map((message) => message.entry.author))]
  const mentions = createMentions(authors, options.people)
  const digest = createDigest(plan)

  async function writeBatch(done: number, batch: readonly PlannedMessage[]): Promise<number> {
    return database.transaction(async (tx) => {
      await lockProgress(tx, source, plan, done)
      await admit(tx, channelId, batch, options.people)
      const members = await findMembers(tx, channelId, mentions.strangers(batch.map((message) => message.entry)))
      const rows = batch.map((message) => toAppend(message, options.people, mentions.of(message.entry, members)))
      await appendBatch(tx, channelId, rows as [Append, ...Append[]])
      await skipFeed(tx, channelId)
      const end = done + batch.length
      await tx.run('update imports set messages = $3, digest = $4 where source = $1 and channel_key = $2', [
        source,
        plan.channel,
        end,
        digest.at(end),
      ])
      if (end === plan.messages.length) {
        await finish(tx, channelId, authors.map((author) => options.people.ids.get(author)!))
      }
      return rows.reduce((sum, row) => sum + row.mentionIds.length, 0)
    })
  }

  for (let done = place.done; done < plan.messages.length; ) {
    options.signal.throwIfAborted()
    const batch = takeBatch(plan.messages, done, options.batchSize)
    options.onMessages(batch, await writeBatch(done, batch))
    done += batch.length
  }
}

/** The channel that is written into, made if there is none. */
async function openChannel(options: LoadOptions, plan: ChannelPlan, place: Place): Promise<string> {
  const { database, snowflakes, source } = options
  if (place.done > 0) return place.channelId!
  return database.transaction(async (tx) => {
    await lockImports(tx)
    const [begun] = await tx.run<{ channel_id: string }>(
      'select channel_id from imports where source = $1 and channel_key = $2',
      [source, plan.channel],
    )
    if (begun !== undefined) return begun.channel_id
    const channelId = place.channelId ?? snowflakes.next()
    if (place.channelId === null) {
      await tx.run(`insert into channels (id, kind, name, created_at) values ($1, 'GROUP', $2, $3)`, [
        channelId,
        plan.channel,
        snowflakeTime(plan.messages[0]!.id),
      ])
    }
    await tx.run('insert into imports (source, channel_key, channel_id, messages, digest) values ($1, $2, $3, 0, $4)', [
      source,
      plan.channel,
      channelId,
      createDigest(plan).at(0),
    ])
    return channelId
  })
}

/** Locks the channel, and makes sure that it is where this run believes it to be. */
async function lockProgress(tx: Transaction, source: string, plan: ChannelPlan, done: number): Promise<void> {
  const [progress] = await tx.run<{ messages: number; channel_id: string }>(
    'select messages, channel_id from imports where source = $1 and channel_key = $2 for no key update',
    [source, plan.channel],
  )
  if (progress?.messages !== done) throw new ImportError(`Another import of "${source}" is running. Wait for its end.`)
  const [channel] = await tx.run<{ last_id: string }>(
    'select last_id from channels where id = $1 for no key update',
    [progress.channel_id],
  )
  const reason = refuseNewer(plan, done, channel!.last_id)
  if (reason !== null) throw new ImportError(`${plan.channel}: ${reason}`)
}

/** Lets in those who speak in a batch and were not in the channel yet, each from when they first spoke. */
async function admit(tx: Transaction, channelId: string, batch: readonly PlannedMessage[], people: People) {
  const first = new Map<string, Date>()
  for (const { entry, id } of batch) {
    const userId = people.ids.get(entry.author)!
    if (!first.has(userId)) first.set(userId, snowflakeTime(id))
  }
  const came = await admitAll(tx, channelId, [...first].map(([userId, joinedAt]) => ({ userId, joinedAt })))
  await touchAccounts(tx.orm, came, 'MEMBERSHIP', channelId)
}

/** Opens a new channel to everybody. Who is in the log has read all of it. */
async function finish(tx: Transaction, channelId: string, userIds: readonly string[]) {
  const opened = await tx.run<{ name: string | null; member_count: number }>(
    `update channels set kind = 'PUBLIC', membership_version = membership_version + 1 where id = $1 and kind = 'GROUP'
     returning name, member_count`,
    [channelId],
  )
  await addNameKeys(tx, opened.map((row) => publicChannel({ id: channelId, name: row.name, memberCount: row.member_count })))
  await tx.run(
    `update members m set last_read_seq = c.last_seq from channels c
     where c.id = $1 and m.channel_id = $1 and m.user_id = any ($2::bigint[]) and m.last_read_seq < c.last_seq`,
    [channelId, userIds],
  )
}

function takeBatch(messages: readonly PlannedMessage[], start: number, size: number): PlannedMessage[] {
  const batch: PlannedMessage[] = []
  let characters = 0
  for (const message of messages.slice(start, start + size)) {
    characters += message.entry.text.length
    if (batch.length > 0 && characters > maxBatchCharacters) break
    batch.push(message)
  }
  return batch
}

/** A message without a text is stored as one that was deleted: no other may be empty. */
function toAppend({ entry, id, replyToId }: PlannedMessage, people: People, mentionIds: string[]): Append {
  return {
    id,
    kind: entry.action ? 'ACTION' : 'USER',
    authorId: people.ids.get(entry.author)!,
    content: entry.text,
    replyToId,
    mentionIds,
    deletedAt: entry.text === '' ? snowflakeTime(id) : null,
  }
}
