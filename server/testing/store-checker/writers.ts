import { setTimeout as sleep } from 'node:timers/promises'
import type { SendOutcome } from '../../message-store/send.ts'
import type { Random } from '../random.ts'
import { type Client, isUnavailable } from './client.ts'
import type { Body, Sent } from './facts.ts'
import { type ChannelHistory, digest } from './history.ts'
import { bodyHashOf, toSend } from './state.ts'
import { attempt, away, breathe, pickPopular, type Stage } from './stage.ts'

const korean = '마루는 한옥의 모든 방을 잇는 넓은 나무 바닥이다. 다람쥐 헌 쳇바퀴에 타고파. '
const english = 'The quick brown fox jumps over the lazy dog, and then it goes home for tea. '

/** The longest message there is, in characters. */
const longest = 100_000

/** Sends of which somebody may think again. */
const remembered = 200

/** What stands behind `name`, which nobody else writes, is of any length and in two scripts. */
function makeContent(name: string, random: Random): string {
  const text = random.chance(0.3) ? korean : english
  const length = random.chance(0.0005)
    ? longest
    : random.pick([0, 10, 30, 60, 100, 200, 400, random.chance(0.1) ? 8_000 : 600])
  return `${name} ${text.repeat(Math.ceil(length / text.length))}`.slice(0, Math.max(length, name.length))
}

function makeBody(name: string, channel: ChannelHistory, stage: Stage, random: Random): Body {
  const content = makeContent(name, random)
  const newest = channel.bySeq.length - 1
  // Mostly one of the last, now and then any.
  const seq = random.chance(0.8) ? Math.max(1, newest - random.below(100)) : 1 + random.below(Math.max(1, newest))
  const answered = random.chance(0.25) ? channel.bySeq[seq] : undefined
  const root = answered === undefined ? null : { id: answered.id, authorId: answered.authorId, seq: answered.seq }
  const bodyHash = bodyHashOf(content, root?.id ?? null)
  const mentionIds = random.chance(0.15) ? stage.authors.filter(() => random.chance(0.3)).toSorted() : []
  return { content, digest: digest(content), bodyHash, root, mentionIds }
}

/** Somebody who writes on one client, and when it fails on another, until the round is over. */
export async function write(name: string, client: Client, stage: Stage, random: Random): Promise<void> {
  const recent: { sent: Sent; body: Body }[] = []
  let count = 0
  const others = stage.clients.filter((other) => other !== client)

  while (!stage.isRoundOver()) {
    const channel = stage.history.channel(pickPopular(stage.channelIds, random))
    const authorId = random.pick(stage.authors)
    const key = `${name}.${++count}`
    const body = makeBody(key, channel, stage, random)
    const chance = random.next()
    if (chance < 0.06 && recent.length > 0) {
      // Somebody who has forgotten that it was acknowledged long ago.
      const old = random.pick(recent)
      await sendOnce(random.pick(stage.clients), old.sent, old.body, stage, random)
      continue
    }
    if (chance < 0.09 && recent.length > 0) {
      // The key of a message that stands there, for another.
      const { sent } = random.pick(recent)
      sent.bodies.push(body)
      await sendOnce(random.pick(stage.clients), sent, body, stage, random)
      continue
    }
    const sent = channel.newSend(authorId, key, body)
    if (chance < 0.2) {
      // Twice at once, on two clients or on one.
      const other = random.chance(0.8) ? random.pick(others) : client
      await Promise.all([client, other].map((on) => sendOnce(on, sent, body, stage, random)))
      stage.history.count('twins')
    } else if (chance < 0.26) {
      // Two that have the same key, at once.
      const rival = makeBody(`${key} or not`, channel, stage, random)
      sent.bodies.push(rival)
      const other = random.chance(0.8) ? random.pick(others) : client
      await Promise.all([sendOnce(client, sent, body, stage, random), sendOnce(other, sent, rival, stage, random)])
    } else {
      await sendOnce(client, sent, body, stage, random)
    }
    if (sent.winner !== null) recent.push({ sent, body: sent.winner })
    if (recent.length > remembered) recent.shift()
    if (random.chance(0.02)) await breathe(random, 50)
  }
}

/** Sends until it is known what became of it, or until its author may not write any more. */
async function sendOnce(client: Client, sent: Sent, body: Body, stage: Stage, random: Random): Promise<void> {
  const { history, patience } = stage
  const channel = history.channel(sent.channelId)
  const readMs = patience.deadlineMs
  // It waits for its turn, and for the batch that has it; its batch, and the look at what its key stands for, are three
  // statements, as are those of the batch before it.
  const sendMs = 7 * patience.deadlineMs
  for (let on = client; ; on = random.chance(0.5) ? on : random.pick(stage.clients)) {
    if (history.over.aborted) return
    const version = await stage.watch('rights', readMs, () => attempt(() => on.rights(sent.channelId, sent.authorId)))
    if (version === null) return history.count('not a member')
    if (version === away) {
      await breathe(random, 100)
      continue
    }
    const outcome = await stage.watch('send', sendMs, () => trySend(on, version, sent, body))
    if (outcome === 'unknown') {
      sent.unknown++
      channel.unheard += body.root === null ? 0 : 1
      history.count('sends of unknown outcome')
      await sleep(random.below(150))
    } else if (outcome === 'moved') {
      on.forgetRights(sent.channelId, sent.authorId)
      history.count('sends under yesterday’s rights')
    } else if (outcome.outcome === 'conflict') {
      channel.acknowledgeConflict(sent, body)
      return history.count('conflicts')
    } else if (outcome.outcome === 'expired') {
      throw new Error('A key is there without its message')
    } else {
      if (sent.message === null) history.count('acknowledged')
      channel.acknowledgeSend(sent, body, outcome.outcome, outcome.message, `its author, ${on.name}`)
      return history.count(`${outcome.outcome}`)
    }
  }
}

async function trySend(
  on: Client,
  version: number,
  sent: Sent,
  body: Body,
): Promise<SendOutcome | 'moved' | 'unknown'> {
  try {
    return await on.sends().send(sent.channelId, version, toSend(sent.authorId, sent.key, body))
  } catch (error) {
    if (isUnavailable(error)) return 'unknown'
    throw error
  }
}
