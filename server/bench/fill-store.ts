import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { searchTerms } from '../lib/search-terms.ts'
import { bucketAt, startOf } from '../message-store/bucket-time.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { snowflakeAt } from '../message-store/snowflake.ts'
import { createRandom } from '../testing/random.ts'
import { type BenchStore, startBenchStore } from './bench-store.ts'
import { copyInto, type Sink, spellText } from './copy-into.ts'
import { createFillChannels, type FillChannel } from './fill-channels.ts'
import { withoutIndexes } from './indexes.ts'
import type { BenchOptions } from './options.ts'
import { readSentences } from './sentences.ts'

/** Channels with history. As many more are empty. */
export const filledChannels = 5_000

/** People, who are the authors; ids from 1. The members of a channel are those whose ids follow its own. */
const people = 2_000
const membersOfEach = 20

/** Somebody who is in so many of the channels with history. The id is the number. */
export const viewers = [5, 50, 500]

/** The channels of a viewer: evenly spread over their sizes, the largest of all among them. */
export const channelsOf = (viewer: number): number[] =>
  Array.from({ length: viewer }, (_, nth) => 1 + (nth * filledChannels) / viewer)

const years = 10

/** What becomes of messages, as shares of all. */
const shares = { reply: 0.15, mention: 0.1, viewerMention: 0.05, reaction: 0.08, edit: 0.02, deletion: 0.01, pin: 0.0005, ticket: 0.05 }

/** A word that no prose has stands in so many messages. */
export const ticketUses = 5

/** The numbers of tickets that occur in a store of so many messages. */
export const ticketCount = (messages: number) => Math.ceil((messages * shares.ticket) / ticketUses)

const tables = [
  'messages', 'send_keys', 'mentions', 'replies', 'threads', 'reactions', 'message_changes', 'channel_buckets', 'channels', 'members',
]

/**
 * Starts a store that holds so many messages: one that was kept, or one that is filled now, which is kept where the
 * options say so. Channel ids go from 1, the nth with the nth most messages.
 */
export async function openFilledStore(messages: number, options: BenchOptions): Promise<BenchStore> {
  const folder = options.keep === null ? null : join(options.keep, `store-${messages}${options.data === null ? '' : '-data'}`)
  const store = await startBenchStore(folder)
  try {
    await store.admin.run('create table if not exists filled (messages integer)', [])
    const [filled] = await store.admin.run('select from filled', [])
    if (filled === undefined) await fillStore(store, messages, readSentences(options.data))
    return store
  } catch (error) {
    await store.stop()
    throw error
  }
}

/**
 * Fills a store as ten years of chat would have; what stood in it before is gone. Indexes are made again when all is in,
 * unless they are kept, which takes several times as long and leaves them as sends do. Says on stderr how far it is.
 */
export async function fillStore(
  { admin, url }: BenchStore,
  messages: number,
  sentences: readonly string[],
  { indexes = 'made again' }: { indexes?: 'made again' | 'kept' } = {},
): Promise<void> {
  const started = performance.now()
  const tell = (what: string) => process.stderr.write(`${((performance.now() - started) / 1_000).toFixed(0)} s: ${what}\n`)
  const now = Date.now()
  await ensureBuckets(admin, bucketAt(now) - years * 12 + 1, bucketAt(now) + 2)
  await admin.run(`truncate ${tables.join(', ')}`, [])
  for (const [name, value] of [['max_wal_size', '8GB'], ['maintenance_work_mem', '512MB'], ['autovacuum', 'off']]) {
    await admin.run(`alter system set ${name} = '${value}'`, [])
  }
  await admin.run('select pg_reload_conf()', [])
  const copy = async () => {
    await copyMessages(url, messages, sentences, now, tell)
    tell('messages are in')
  }
  if (indexes === 'kept') await copy()
  else await withoutIndexes(admin, tables, copy, (name) => tell(`made ${name}`))
  await admin.run('vacuum (freeze, analyze)', [])
  await admin.run('alter system reset all', [])
  await admin.run('select pg_reload_conf()', [])
  await admin.run('checkpoint', [])
  await admin.run('insert into filled values ($1)', [messages])
  tell('filled')
}

const columns = {
  messages: 'channel_id, id, author_id, reply_to_id, seq, change, edited_at, deleted_at, kind, content, mention_ids, terms',
  send_keys: 'channel_id, key_hash, message_id, body_hash',
  mentions: 'channel_id, user_id, seq, message_id',
  replies: 'channel_id, root_id, seq, message_id',
  threads: 'channel_id, message_id, user_id, last_read_seq',
  reactions: 'channel_id, message_id, emoji, user_id, change',
  message_changes: 'channel_id, message_id, change, kind, reply_count, pinned_at',
  channel_buckets: 'channel_id, first_seq, first_change, bucket',
  channels: 'id, kind, name, created_at, member_count, first_seq, last_seq, last_change, last_id',
  members: 'channel_id, user_id, role, joined_at, change, last_read_seq',
}

/** Writes everything in the order of time, as it came. */
async function copyMessages(
  url: string,
  messages: number,
  sentences: readonly string[],
  now: number,
  tell: (what: string) => void,
): Promise<void> {
  const names = Object.keys(columns) as (keyof typeof columns)[]
  const sinks = Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await copyInto(url, name, columns[name])] as const)),
  ) as Record<keyof typeof columns, Sink>
  const random = createRandom(1)
  const start = startOf(bucketAt(now) - years * 12 + 1)
  const lines = sentences.map((line) => ({ line, text: spellText(line), terms: searchTerms(line).join(',') }))
  const tickets = ticketCount(messages)
  const channels = createFillChannels(random, filledChannels, (channel, touched) => {
    sinks.message_changes.put(
      `${channel.id}\t${touched.id}\t${touched.change}\t${touched.kind}\t${touched.replies}\t${touched.pinnedAt ?? '\\N'}`,
    )
  })
  for (let nth = 0; nth < messages; nth++) {
    // Every year has more than the one before.
    const time = Math.floor(start + (now - 3_600_000 - start) * Math.sqrt((nth + 0.5) / messages))
    const channel = channels.pick((time - start) / (now - start))
    // Within a millisecond the numbers tell them apart.
    const id = (BigInt(snowflakeAt(time)) + BigInt(nth & 0x3fffff)).toString()
    const seq = ++channel.seq
    const change = ++channel.change
    const bucket = bucketAt(time)
    if (channel.bucket !== bucket) {
      channel.bucket = bucket
      sinks.channel_buckets.put(`${channel.id}\t${seq}\t${change}\t${bucket}`)
    }
    const author = memberOf(channel, random.below(membersOfEach))
    const { line, text, terms } = random.pick(lines)
    let [content, found] = [text, terms]
    if (random.chance(shares.ticket)) {
      const ticket = ` ticket${random.below(tickets)}`
      content += ticket
      found = searchTerms(line + ticket).join(',')
    }
    const own = channels.remember(channel, { id, seq, change, author })
    const instant = () => new Date(time).toISOString()
    let mention = '\\N'
    if (random.chance(shares.mention)) {
      const seen = random.chance(shares.viewerMention) ? viewersIn(channel.id) : []
      const user = seen.length > 0 ? random.pick(seen) : memberOf(channel, random.below(membersOfEach))
      mention = `{${user}}`
      sinks.mentions.put(`${channel.id}\t${user}\t${seq}\t${id}`)
    }
    let root = '\\N'
    if (random.chance(shares.reply)) {
      const answered = channels.recent(channel)
      if (answered.id !== id) {
        root = answered.id
        answered.replies++
        channels.touch(channel, answered, 'ENRICHED')
        sinks.replies.put(`${channel.id}\t${root}\t${seq}\t${id}`)
        for (const user of new Set([answered.author, author])) {
          if (answered.followers.includes(user)) continue
          answered.followers.push(user)
          sinks.threads.put(`${channel.id}\t${root}\t${user}\t${seq}`)
        }
      }
    }
    if (random.chance(shares.reaction)) {
      const liked = channels.recent(channel)
      const user = memberOf(channel, liked.reactions)
      if (liked.reactions++ < membersOfEach) {
        channels.touch(channel, liked, 'REACTIONS_CHANGED')
        sinks.reactions.put(`${channel.id}\t${liked.id}\t👍\t${user}\t${channel.change}`)
      }
    }
    if (random.chance(shares.pin)) {
      own.pinnedAt = instant()
      channels.touch(channel, own, 'PINS_CHANGED')
    }
    let [editedAt, deletedAt] = ['\\N', '\\N']
    if (random.chance(shares.edit)) {
      editedAt = instant()
      channels.touch(channel, own, 'EDITED')
    } else if (random.chance(shares.deletion)) {
      deletedAt = instant()
      content = ''
      found = ''
      mention = '\\N'
      channels.touch(channel, own, 'DELETED')
    }
    sinks.messages.put(
      `${channel.id}\t${id}\t${author}\t${root}\t${seq}\t${change}\t${editedAt}\t${deletedAt}\tUSER\t${content}\t${mention}\t${found === '' ? '\\N' : `{${found},${channel.term}}`}`,
    )
    sinks.send_keys.put(`${channel.id}\t${randomUuid()}\t${id}\t${randomUuid()}`)
    if (nth % 1_000 === 0) for (const name of names) await sinks[name].room()
    if (nth % 500_000 === 0 && nth > 0) tell(`${nth.toLocaleString('en')} of ${messages.toLocaleString('en')} messages`)
  }
  channels.finish()
  for (const channel of channels.all) putChannel(sinks, channel, start)
  for (const sink of Object.values(sinks)) await sink.end()
}

const memberOf = (channel: FillChannel, nth: number) => ((channel.id * 37 + nth) % people) + 10_000

const viewersIn = (channelId: number) => viewers.filter((viewer) => (channelId - 1) % (filledChannels / viewer) === 0)

/** A channel and its members, an empty one beside it, and the viewers who are in it. */
function putChannel(sinks: Record<'channels' | 'members', Sink>, channel: FillChannel, start: number): void {
  const since = new Date(start).toISOString()
  const { id, seq, change, lastId } = channel
  sinks.channels.put(`${id}\tPUBLIC\tchannel ${id}\t${since}\t${membersOfEach}\t${seq === 0 ? 0 : 1}\t${seq}\t${change}\t${lastId}`)
  sinks.channels.put(`${id + filledChannels}\tPUBLIC\tchannel ${id + filledChannels}\t${since}\t0\t0\t0\t0\t0`)
  const put = (user: number, read: number) => sinks.members.put(`${id}\t${user}\tMEMBER\t${since}\t0\t${read}`)
  for (let nth = 0; nth < membersOfEach; nth++) put(memberOf(channel, nth), Math.max(0, seq - nth * nth))
  for (const viewer of viewersIn(id)) put(viewer, Math.floor(seq * 0.9))
}

/** Sixteen random bytes as COPY reads a UUID: that they name no version is no matter. */
function randomUuid(): string {
  if (randomAt === randomHex.length) {
    randomHex = randomBytes(65_536).toString('hex')
    randomAt = 0
  }
  randomAt += 32
  return randomHex.slice(randomAt - 32, randomAt)
}
let randomHex = ''
let randomAt = 0
