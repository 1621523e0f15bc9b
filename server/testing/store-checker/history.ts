import { createHash } from 'node:crypto'
import type { Change } from '../../message-store/changes.ts'
import type { MessageRow } from '../../message-store/rows.ts'
import { clockSlackMs } from '../../message-store/send.ts'
import { compareSnowflakes, snowflakeTime } from '../../message-store/snowflake.ts'
import type { Body, Known, Sent, Touch } from './facts.ts'

/** The store has done what it must not. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

/** Two looks at one clock may differ by so much, in milliseconds. */
const clockErrorMs = 250

export type History = ReturnType<typeof createHistory>
export type ChannelHistory = ReturnType<typeof createChannelHistory>

/** All that can be told of a message's state, in a few letters. */
export const printOf = (message: MessageRow): string =>
  createHash('sha1')
    .update(
      JSON.stringify([
        message.kind, message.authorId, message.content, message.replyToId, message.replyCount, message.mentionIds,
        message.editedAt, message.deletedAt, message.pinnedAt,
      ]),
    )
    .digest('base64url')

/** A few letters for a text. */
export const digest = (text: string): string => createHash('sha1').update(text).digest('base64url')

/**
 * What everybody has seen of the store, put side by side as it comes: two accounts of one thing must agree, whoever
 * gives them, and nothing may be seen to go back.
 */
export function createHistory(channelIds: readonly string[]) {
  const channels = new Map(channelIds.map((id) => [id, createChannelHistory(id)]))
  const over = new AbortController()
  const counts = new Map<string, number>()
  return {
    channels,
    channel: (id: string) => channels.get(id)!,
    /** Aborted by the first thing that is wrong, which is the reason. */
    over: over.signal,
    breakOff: (why: unknown) => over.abort(why),
    counts,
    count(what: string, by = 1) {
      counts.set(what, (counts.get(what) ?? 0) + by)
    },
    /** How often something has happened. */
    counted: (what: string) => counts.get(what) ?? 0,
  }
}

/** As much of a thing as shows what is wrong with it. */
export const spell = (evidence: unknown): string =>
  JSON.stringify(evidence, (_, value: unknown) => {
    if (typeof value === 'string' && value.length > 60) return `${value.slice(0, 60)}… (${value.length})`
    return Array.isArray(value) && value.length > 10 ? [...value.slice(0, 10), `… (${value.length})`] : value
  })

/** Says what is wrong, with what shows it. */
export function broken(what: string, ...evidence: unknown[]): never {
  throw new Broken([what, ...evidence.map(spell)].join('\n  '))
}

function createChannelHistory(channelId: string) {
  /** By seq, from 1. */
  const bySeq: (Known | undefined)[] = []
  const byId = new Map<string, Known>()
  /** What each change number stands for. */
  const changes: (string | undefined)[] = []
  const sends = new Map<string, Sent>()
  /** When people were in and out, by the changes that made it so. */
  const membership = new Map<string, Map<number, boolean>>()
  const acknowledged = { seq: 0, change: 0 }

  function observeMembership(userId: string, change: number, isIn: boolean) {
    const facts = membership.get(userId) ?? new Map<number, boolean>()
    membership.set(userId, facts)
    if ((facts.get(change) ?? isIn) !== isIn) {
      broken(`Change ${change} let somebody in and put them out:`, { channelId, userId })
    }
    facts.set(change, isIn)
  }

  /** Takes a look at a message into account; whose it was is told for the evidence. */
  function observe(message: MessageRow, who: string): Known {
    const { id, seq, change, version, authorId, replyToId } = message
    const print = printOf(message)
    let known = byId.get(id)
    if (known === undefined) {
      const other = bySeq[seq]
      if (other !== undefined) broken(`Two messages have seq ${seq}, the second as seen by ${who}:`, other, message)
      known = { id, seq, change, version, authorId, replyToId, print, who, touches: [] }
      byId.set(id, known)
      bySeq[seq] = known
      for (const neighbour of [bySeq[seq - 1], bySeq[seq + 1]]) {
        if (neighbour !== undefined && compareSnowflakes(neighbour.id, id) > 0 !== neighbour.seq > seq) {
          broken(`Ids and seqs are in different orders, as seen by ${who}:`, neighbour, message)
        }
      }
      observeChange(change, `created ${id}`, who)
      return known
    }
    if (known.seq !== seq || known.change !== change || known.authorId !== authorId || known.replyToId !== replyToId) {
      broken(`A message has moved, as seen by ${who}:`, known, message)
    }
    if (version === known.version && print !== known.print) {
      broken(`A message looks different to ${who} and to ${known.who} after the same change:`, known, message)
    }
    if (version > known.version) Object.assign(known, { version, print, who })
    return known
  }

  function observeChange(change: number, what: string, who: string) {
    const before = changes[change]
    if (before !== undefined && before !== what) {
      broken(`Change ${change} is two things, the second as seen by ${who}:`, before, what)
    }
    changes[change] = what
  }

  return {
    id: channelId,
    bySeq,
    byId,
    changes,
    sends,
    membership,
    /** The newest that somebody was told is stored: who looks after that must see at least as much. */
    acknowledged,
    /** What the system said, or may have said. */
    appended: new Set<string>(),
    /** At most so many changes may have happened of which nobody was told. */
    unheard: 0,
    observe,
    observeChange,
    observeMembership,

    /** Takes a change into account, as somebody was told it who stands at it afterwards. */
    hear(change: Change, who: string): void {
      if (change.type === 'channel') return observeChange(change.change, `info`, who)
      if (change.type === 'member') {
        observeMembership(change.member.userId, change.member.change, change.member.leftAt === null)
        return observeChange(change.change, `member ${change.member.userId}`, who)
      }
      const { message } = change
      observe(message, who)
      const what = change.change === message.change ? 'created' : 'touched'
      observeChange(change.change, `${what} ${message.id}`, who)
    },

    /** What a change was that has just been committed raises what everybody must see from now on. */
    acknowledge(changes: readonly Change[]): void {
      for (const { change, seq } of changes) {
        acknowledged.change = Math.max(acknowledged.change, change)
        acknowledged.seq = Math.max(acknowledged.seq, seq)
      }
    },

    newSend(authorId: string, key: string, body: Body): Sent {
      const sent: Sent = {
        channelId, authorId, key, bodies: [body], floor: { ...acknowledged }, since: Date.now(),
        stored: 0, repeated: 0, unknown: 0, refused: [], message: null, winner: null,
      }
      sends.set(`${authorId} ${key}`, sent)
      return sent
    },

    /** Takes the outcome of one attempt into account. */
    acknowledgeSend(sent: Sent, body: Body, outcome: 'sent' | 'repeated', message: MessageRow, who: string): void {
      const now = Date.now()
      const known = observe(message, who)
      if (outcome === 'sent') sent.stored++
      else sent.repeated++
      if (sent.stored > 1) broken('One key was stored twice:', sent, message)
      if (sent.message !== null && sent.message.id !== message.id) broken('One key gave two messages:', sent, message)
      if (sent.winner !== null && sent.winner !== body) broken('One key took two bodies:', sent, message)
      if (sent.refused.includes(body)) broken('A send conflicts with itself:', sent, message)
      if (message.authorId !== sent.authorId || message.replyToId !== (body.root?.id ?? null)) {
        broken('Another’s message:', sent, message)
      }
      const isUntouched = message.editedAt === null && message.deletedAt === null
      const isAsSent = digest(message.content) === body.digest && `${message.mentionIds}` === `${body.mentionIds}`
      if (isUntouched && !isAsSent) {
        broken('Another message was acknowledged:', { sent, body }, message)
      }
      if (message.seq <= sent.floor.seq || message.change <= sent.floor.change) {
        broken('A message stands before one that was acknowledged before it was sent:', sent, message)
      }
      const at = +snowflakeTime(message.id)
      const slack = clockSlackMs + clockErrorMs
      if (at < sent.since - slack || at > now + slack) {
        broken('An id tells a time at which its message was not sent:', { at, since: sent.since, now }, sent, message)
      }
      sent.message = { id: message.id, seq: message.seq }
      sent.winner = body
      known.sent = sent
      acknowledged.seq = Math.max(acknowledged.seq, message.seq)
      acknowledged.change = Math.max(acknowledged.change, message.change)
    },

    /** The key was refused to a body. */
    acknowledgeConflict(sent: Sent, body: Body): void {
      sent.refused.push(body)
      if (sent.winner === body) broken('A send conflicts with itself:', sent)
      if (sent.bodies.length === 1) broken('A send conflicts with nothing:', sent)
    },

    /** What was, or may have been, done to a message. */
    touch(messageId: string, touch: Touch): void {
      byId.get(messageId)!.touches.push(touch)
    },
  }
}
