import { type CatchUp, createCatchUp } from '../../message-store/catch-up.ts'
import { type Change, changesSince, heads, type Position } from '../../message-store/changes.ts'
import { readSpan } from '../../message-store/pages.ts'
import type { Random } from '../random.ts'
import type { Client } from './client.ts'
import { broken, type ChannelHistory, printOf } from './history.ts'
import { attempt, away, breathe, pickPopular, type Stage } from './stage.ts'
import type { ChannelState } from './state.ts'

/** What a reader holds of one thing: its state, and on which of its connections it was told of it last. */
type Told = { version: number; print: string; connection: number }

export type Reader = {
  name: string
  channel: ChannelHistory
  /** Reads on until the round is over. */
  follow(): Promise<void>
  /** Reads to the end, and holds what it was told against what is there. */
  settle(state: ChannelState): Promise<void>
  /** Where others may begin. */
  positions: readonly Position[]
}

/** Positions that a reader keeps for others. */
const keptPositions = 100

/** Opens a reader of a channel's changes from a position on, which reads on any client. */
export function openReader(
  name: string,
  channel: ChannelHistory,
  start: Position,
  stage: Stage,
  random: Random,
): Reader {
  const messages = new Map<string, Told>()
  const members = new Map<string, { change: number; isIn: boolean }>()
  const positions: Position[] = []
  let infoChange = 0
  let position = start
  /** A connection goes on from a position; within it everything new is told as CREATED, once. */
  let connection = { nth: 0, from: start.change, catchUp: createCatchUp(start.change) as CatchUp }

  function apply(change: Change) {
    if (change.change <= position.change) {
      broken(`${name} is told of change ${change.change} after ${position.change}:`, change)
    }
    if (change.seq < position.seq) broken(`${name} goes back to seq ${change.seq} from ${position.seq}:`, change)
    channel.hear(change, name)
    if (change.type === 'member') {
      members.set(change.member.userId, { change: change.change, isIn: change.member.leftAt === null })
    } else if (change.type === 'channel') infoChange = change.change
    else applyMessage(change)
    position = { change: change.change, seq: Math.max(position.seq, change.seq) }
    if (random.chance(0.02)) positions[random.below(keptPositions)] = position
  }

  function applyMessage({ kind, touched, message, change }: Extract<Change, { type: 'message' }>) {
    const before = messages.get(message.id)
    if (before !== undefined && message.version <= before.version) {
      broken(`${name} is told of the past:`, before, message)
    }
    if (change !== message.version) broken(`${name} is told at ${change} what happened at another time:`, message)
    const isNew = message.change > connection.from && before?.connection !== connection.nth
    if ((kind === 'CREATED') !== isNew) {
      const not = isNew ? '' : 'not '
      broken(`${name} is told ${kind} of a message that is ${not}new to it:`, { before, connection }, message)
    }
    const isDeleted = message.deletedAt !== null
    if (isDeleted !== (kind === 'DELETED' || touched === 'DELETED') || (isDeleted && message.content !== '')) {
      broken(`${name} is told ${kind} of a message that is ${isDeleted ? 'deleted' : 'there'}:`, { touched }, message)
    }
    messages.set(message.id, { version: message.version, print: printOf(message), connection: connection.nth })
  }

  const connectAnew = () => {
    connection = { nth: connection.nth + 1, from: position.change, catchUp: createCatchUp(position.change) }
  }

  /** Reads one page; tells whether it was the last. A reader that may `break` off does so in the midst of some. */
  async function readPage(mayBreak: boolean): Promise<boolean> {
    const floor = { ...channel.acknowledged }
    const limit = random.pick([1, 3, 10, 100, 100, 500])
    const database = random.pick(stage.clients).database()
    const before = position
    // Two statements: where to look, and what there is.
    const page = await stage.watch('changes since', 2 * stage.patience.deadlineMs, () =>
      attempt(() => changesSince(database, channel.id, position, limit, stage.reader, connection.catchUp)),
    )
    if (page === away) {
      await breathe(random, 100)
      return false
    }
    if (page === null || !page.member) broken(`${name} is not let in:`, page)
    stage.history.count('changes told', page.changes.length)
    const end = mayBreak && random.chance(0.05) ? random.below(page.changes.length + 1) : page.changes.length
    for (const change of page.changes.slice(0, end)) apply(change)
    if (end < page.changes.length) {
      stage.history.count('connections broken off')
      connectAnew()
      return false
    }
    if (page.position.change < position.change || page.position.seq < position.seq) {
      broken(`${name} is led back:`, position, page.position)
    }
    position = page.position
    if (page.complete && (position.change < floor.change || position.seq < floor.seq)) {
      broken(`${name} is not told of what was acknowledged before it asked:`, { floor, position })
    }
    if (!page.complete && position.change === before.change && position.seq === before.seq) {
      broken(`${name} does not get on:`, position)
    }
    return page.complete
  }

  return {
    name,
    channel,
    positions,
    async follow() {
      while (!stage.isRoundOver()) {
        const complete = await readPage(true)
        if (complete) await breathe(random, 60)
        if (random.chance(0.02)) connectAnew()
      }
    },
    async settle(state) {
      while (!(await readPage(false))) if (stage.history.over.aborted) return
      const { head } = state
      if (position.change !== head.lastChange || position.seq !== head.lastSeq) {
        broken(`${name} ends elsewhere than the channel:`, position, head)
      }
      const expected = state.messages.filter((message) => message.version > start.change)
      for (const message of expected) {
        const told = messages.get(message.id)
        if (told === undefined) broken(`${name}, who began at`, start, 'was never told of', message)
        if (told.version !== message.version || told.print !== printOf(message)) {
          broken(`${name} holds something else:`, told, message)
        }
      }
      if (messages.size !== expected.length) {
        broken(`${name} was told of ${messages.size} messages, of which there are ${expected.length}.`)
      }
      for (const member of state.members.filter(({ change }) => change > start.change)) {
        const told = members.get(member.userId)
        if (told?.change !== member.change || told.isIn !== member.isIn) {
          broken(`${name} holds another member:`, told ?? null, member)
        }
      }
      if (head.infoChange > start.change && infoChange !== head.infoChange) {
        broken(`${name} holds another topic:`, infoChange, head)
      }
    },
  }
}

/** Somebody who reads pages of any channel, anywhere in it, until the round is over. */
export async function readPages(name: string, client: Client, stage: Stage, random: Random): Promise<void> {
  while (!stage.isRoundOver()) {
    await breathe(random, 60)
    const channel = stage.history.channel(pickPopular(stage.channelIds, random))
    if (random.chance(0.3)) await checkHead(name, client, channel, stage)
    else await readOnePage(name, client, channel, stage, random)
  }
}

async function readOnePage(name: string, client: Client, channel: ChannelHistory, stage: Stage, random: Random) {
  const floor = { ...channel.acknowledged }
  const newest = channel.bySeq.length + 5
  const from = 1 + random.below(newest)
  const to = from + random.below(random.pick([1, 20, 200]))
  const anchor = random.pick(['start', 'end', from + random.below(to - from + 1)] as const)
  const page = await stage.watch('page', 2 * stage.patience.deadlineMs, () =>
    attempt(() => readSpan(client.database(), channel.id, { from, to }, anchor)),
  )
  if (page === away) return
  stage.history.count('pages')
  const known = page.map((message) => channel.observe(message, name))
  const expected = Math.max(0, Math.min(to, floor.seq) - from + 1)
  const hole = page.findIndex((message, nth) => message.seq !== page[0]!.seq + nth)
  if (hole !== -1) broken(`${name} finds a hole in a page:`, { from, to, anchor }, page[hole - 1], page[hole])
  if (page.some(({ seq }) => seq < from || seq > to)) {
    broken(`${name} gets what was not asked for:`, { from, to }, known)
  }
  const bytes = page.reduce((sum, message) => sum + message.content.length, 0)
  // A page may be cut short where it is long; twice the longest message is never too long.
  if (page.length < expected && bytes < 150_000) {
    const shown = page.map(({ seq }) => seq)
    broken(`${name} is not shown what was acknowledged before:`, { from, to, anchor, floor, shown })
  }
}

async function checkHead(name: string, client: Client, channel: ChannelHistory, stage: Stage) {
  const floor = { ...channel.acknowledged }
  const found = await stage.watch('heads', stage.patience.deadlineMs, () =>
    attempt(() => heads(client.database(), [channel.id])),
  )
  if (found === away) return
  const [head] = found
  if (head === undefined || head.seq < floor.seq || head.change < floor.change) {
    broken(`${name} sees a head that is behind what was acknowledged:`, head ?? null, floor)
  }
}
