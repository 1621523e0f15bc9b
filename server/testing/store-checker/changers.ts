import { setTimeout as sleep } from 'node:timers/promises'
import { changeChannel, type LockedChannel } from '../../message-store/channel-lock.ts'
import type { Random } from '../random.ts'
import { type Client, isUnavailable } from './client.ts'
import type { Touch } from './facts.ts'
import { broken, type ChannelHistory, digest } from './history.ts'
import { breathe, pickPopular, type Stage } from './stage.ts'
import { edit, lockedMember, lockedMessage, pin, react, remove } from './state.ts'

/** Changes that wait for their channel give up after this, whatever the deadline is. Milliseconds. */
const turnMs = 5_000

/** What one change does: how many numbers it may take, and what to note of it. */
type Plan = {
  numbers: number
  work: (locked: LockedChannel) => Promise<void>
  messageId?: string
  touch?: () => Touch | null
}

/** How often each is done, beside the others. */
const weights = { edit: 30, react: 30, pin: 12, delete: 8, membership: 12, info: 4, role: 2, append: 6 }
type Act = keyof typeof weights
const acts = Object.entries(weights).flatMap(([name, weight]) => Array<Act>(weight).fill(name as Act))

/** Somebody who changes messages and memberships on one client, until the round is over. */
export async function change(name: string, client: Client, stage: Stage, random: Random): Promise<void> {
  let count = 0
  while (!stage.isRoundOver()) {
    await breathe(random, 40)
    const channel = stage.history.channel(pickPopular(stage.channelIds, random))
    const plan = makePlan(`${name}.${++count}`, channel, stage, random)
    if (plan !== null) await changeOnce(client, channel, plan, stage, name)
  }
}

async function changeOnce(
  client: Client,
  channel: ChannelHistory,
  plan: Plan,
  stage: Stage,
  name: string,
): Promise<void> {
  const { history, patience } = stage
  // A transaction of a few statements, each of which may take until the deadline.
  const boundMs = turnMs + 8 * patience.deadlineMs
  try {
    const done = await stage.watch('change', boundMs, () => changeChannel(client.database(), channel.id, plan.work))
    if (done === null) broken('A channel is gone:', channel.id)
    for (const made of done.changes) channel.hear(made, `who changed it, ${name}`)
    channel.acknowledge(done.changes)
    const touch = plan.touch?.()
    const [first] = done.changes
    if (touch != null && first !== undefined) channel.touch(plan.messageId!, { ...touch, change: first.change })
    history.count('changes')
  } catch (error) {
    if (!isUnavailable(error)) throw error
    channel.unheard += plan.numbers
    const touch = plan.touch?.()
    if (touch != null) channel.touch(plan.messageId!, touch)
    history.count('changes of unknown outcome')
    await sleep(50)
  }
}

function makePlan(name: string, channel: ChannelHistory, stage: Stage, random: Random): Plan | null {
  const what = random.pick(acts)
  switch (what) {
    case 'info':
      return { numbers: 1, work: async (locked) => locked.setInfo({ topic: name }) }
    case 'role': {
      const userId = random.pick(stage.authors)
      const role = random.pick(['ADMIN', 'MEMBER'] as const)
      return { numbers: 1, work: async (locked) => void (await locked.setRole(userId, role)) }
    }
    case 'membership':
      return comeOrGo(random.pick(stage.comers), channel)
    case 'append':
      return append(name, channel, stage.reader)
    default:
      return touchMessage(what, name, channel, stage, random)
  }
}

/** Lets somebody in who is out, and the other way round. What stood before is noted, whatever becomes of this. */
const comeOrGo = (userId: string, channel: ChannelHistory): Plan => ({
  numbers: 1,
  async work(locked) {
    const { change, isIn } = await lockedMember(locked, userId)
    channel.observeMembership(userId, change, isIn)
    await (isIn ? locked.dismiss(userId) : locked.admit(userId, 'MEMBER'))
  },
})

const append = (name: string, channel: ChannelHistory, authorId: string): Plan => ({
  numbers: 1,
  async work(locked) {
    channel.appended.add(name)
    await locked.append('CHANNEL_UPDATED', authorId, name)
  },
})

function touchMessage(
  what: 'edit' | 'react' | 'pin' | 'delete',
  name: string,
  channel: ChannelHistory,
  stage: Stage,
  random: Random,
): Plan | null {
  const newest = Math.max(1, channel.bySeq.length - 1)
  const seq = random.chance(0.7) ? Math.max(1, newest - random.below(50)) : 1 + random.below(newest)
  const message = channel.bySeq[seq]
  // What the system said stays as it is.
  if (message === undefined || message.sent === undefined) return null
  const content = `${name} 고침 ${'다람쥐 '.repeat(random.below(20))}`
  const mentionIds = stage.authors.filter(() => random.chance(0.1)).toSorted()
  let touch: Touch | null = null
  return {
    numbers: 2,
    messageId: message.id,
    touch: () => touch,
    async work(locked) {
      const found = await lockedMessage(locked, message.id)
      if (found.deletedAt !== null) return
      const isPinned = found.pinnedAt !== null
      touch = { change: null, what: what === 'pin' && isPinned ? 'unpin' : what, digest: digest(content) }
      if (what === 'edit') await edit(locked, found, content, mentionIds)
      else if (what === 'delete') await remove(locked, found)
      else if (what === 'pin') await pin(locked, found, !isPinned)
      else await react(locked, found)
    },
  }
}
