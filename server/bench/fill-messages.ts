import { randomBytes } from 'node:crypto'
import { searchTerms } from '../lib/search-terms.ts'
import { bucketAt, startOf } from '../message-store/bucket-time.ts'
import { snowflakeAt } from '../message-store/snowflake.ts'
import { createRandom } from '../testing/random.ts'
import { copyInto, type Sink, spellText } from './copy-into.ts'
import { createFillChannels, type FillChannel, type Remembered } from './fill-channels.ts'
import { filledChannels, ticketShare, ticketsIn, viewersIn, years } from './filled.ts'

/** People, who are the authors. The members of a channel are those whose ids follow its own; viewers have lower ids. */
const people = 2_000
const firstPerson = 10_000
const membersOfEach = 20
const memberOf = (channel: FillChannel, nth: number) => firstPerson + ((channel.id * 37 + nth) % people)

/** What becomes of messages, as shares of all; of those that mention somebody, the share that mentions a viewer. */
const shares = { reply: 0.15, mention: 0.1, viewerMention: 0.05, reaction: 0.08, edit: 0.02, deletion: 0.01, pin: 0.0005 }

/** How much of the channel a viewer has read. */
const readShare = 0.9

const columns = {
  messages:
    'channel_id, id, author_id, reply_to_id, seq, change, edited_at, deleted_at, kind, content, mention_ids, terms',
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
type Sinks = Record<keyof typeof columns, Sink>

/** The tables that are filled. */
export const filledTables = Object.keys(columns) as (keyof typeof columns)[]

/**
 * Writes so many messages into an empty store, in the order of time, with all that became of them. `tell` is told from
 * time to time how many there are.
 */
export async function copyMessages(
  url: string,
  count: number,
  sentences: readonly string[],
  now: number,
  tell: (done: number) => void,
): Promise<void> {
  const opened = await Promise.all(filledTables.map((table) => copyInto(url, table, columns[table])))
  const sinks = Object.fromEntries(filledTables.map((table, nth) => [table, opened[nth]!])) as Sinks
  const start = startOf(bucketAt(now) - years * 12 + 1)
  const write = createWriter(sinks, sentences, ticketsIn(count))
  for (let nth = 0; nth < count; nth++) {
    // Every year has more than the one before.
    const share = Math.sqrt((nth + 0.5) / count)
    const time = Math.floor(start + (now - 3_600_000 - start) * share)
    // Within a millisecond the numbers tell them apart.
    write.message((BigInt(snowflakeAt(time)) + BigInt(nth & 0x3fffff)).toString(), time, share)
    if (nth % 1_000 === 0) for (const sink of opened) await sink.room()
    if (nth % 500_000 === 0 && nth > 0) tell(nth)
  }
  write.channels(new Date(start).toISOString())
  for (const sink of opened) await sink.end()
}

function createWriter(sinks: Sinks, sentences: readonly string[], tickets: number) {
  const random = createRandom(1)
  const lines = sentences.map((line) => ({ line, text: spellText(line), terms: searchTerms(line).join(',') }))
  const channels = createFillChannels(random, filledChannels, (channel, { id, change, kind, replies, pinnedAt }) =>
    sinks.message_changes.put(channel.id, id, change, kind, replies, pinnedAt),
  )

  /** What is said, and what it can be found by. */
  function say(): { content: string; terms: string } {
    const { line, text, terms } = random.pick(lines)
    if (!random.chance(ticketShare)) return { content: text, terms }
    const ticket = ` ticket${random.below(tickets)}`
    return { content: text + ticket, terms: searchTerms(line + ticket).join(',') }
  }

  /** Says who is mentioned; null is nobody. */
  function mention(channel: FillChannel, message: Remembered): number | null {
    if (!random.chance(shares.mention)) return null
    const watching = random.chance(shares.viewerMention) ? viewersIn(channel.id) : []
    const user = watching.length > 0 ? random.pick(watching) : memberOf(channel, random.below(membersOfEach))
    sinks.mentions.put(channel.id, user, message.seq, message.id)
    return user
  }

  /** Says what is answered; null is nothing. */
  function answer(channel: FillChannel, message: Remembered): string | null {
    const root = random.chance(shares.reply) ? channels.recent(channel) : message
    if (root === message) return null
    root.replies++
    channels.touch(channel, root, 'ENRICHED')
    sinks.replies.put(channel.id, root.id, message.seq, message.id)
    for (const user of new Set([root.author, message.author])) {
      if (root.followers.includes(user)) continue
      root.followers.push(user)
      sinks.threads.put(channel.id, root.id, user, message.seq)
    }
    return root.id
  }

  function react(channel: FillChannel) {
    if (!random.chance(shares.reaction)) return
    const liked = channels.recent(channel)
    if (liked.reactions === membersOfEach) return
    channels.touch(channel, liked, 'REACTIONS_CHANGED')
    sinks.reactions.put(channel.id, liked.id, '👍', memberOf(channel, liked.reactions++), channel.change)
  }

  return {
    /** The next message, at a moment that is also given as its share of the whole time. */
    message(id: string, time: number, share: number) {
      const channel = channels.pick(share)
      const own = channels.add(channel, id, memberOf(channel, random.below(membersOfEach)))
      const { seq, change, author } = own
      const bucket = bucketAt(time)
      if (channel.bucket !== bucket) sinks.channel_buckets.put(channel.id, seq, change, (channel.bucket = bucket))
      const { content, terms } = say()
      const user = mention(channel, own)
      const rootId = answer(channel, own)
      react(channel)
      const instant = new Date(time).toISOString()
      if (random.chance(shares.pin)) {
        own.pinnedAt = instant
        channels.touch(channel, own, 'PINS_CHANGED')
      }
      const isEdited = random.chance(shares.edit)
      const isDeleted = random.chance(shares.deletion)
      if (isDeleted) channels.touch(channel, own, 'DELETED')
      else if (isEdited) channels.touch(channel, own, 'EDITED')
      const times = [isEdited ? instant : null, isDeleted ? instant : null]
      const said = isDeleted
        ? ['', null, null]
        : [content, user === null ? null : `{${user}}`, terms === '' ? null : `{${terms},${channel.term}}`]
      sinks.messages.put(channel.id, id, author, rootId, seq, change, ...times, 'USER', ...said)
      sinks.send_keys.put(channel.id, randomUuid(), id, randomUuid())
    },

    /** In the end, the channels and who is in them, and as many that are empty. */
    channels(since: string) {
      channels.finish()
      for (const channel of channels.all) {
        const { id, seq, change, lastId } = channel
        const empty = id + filledChannels
        sinks.channels.put(id, 'PUBLIC', `channel ${id}`, since, membersOfEach, Math.min(seq, 1), seq, change, lastId)
        sinks.channels.put(empty, 'PUBLIC', `channel ${empty}`, since, 0, 0, 0, 0, '0')
        const admit = (user: number, read: number) => sinks.members.put(id, user, 'MEMBER', since, 0, read)
        for (let nth = 0; nth < membersOfEach; nth++) admit(memberOf(channel, nth), Math.max(0, seq - nth * nth))
        for (const viewer of viewersIn(id)) admit(viewer, Math.floor(seq * readShare))
      }
    },
  }
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
