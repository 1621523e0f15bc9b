import { compareSnowflakes } from '../../message-store/snowflake.ts'
import type { Known } from './facts.ts'
import { broken, type ChannelHistory, digest } from './history.ts'
import { bucketOfMessage, type ChannelState, keyOf } from './state.ts'

/**
 * Holds what stands in the store of one channel, while nobody writes, against everything that anybody was told of it.
 * Throws at the first thing that is wrong.
 */
export function verify(channel: ChannelHistory, state: ChannelState): void {
  verifyOrder(channel, state)
  for (const message of state.messages) channel.observe(message, 'who looked afterwards')
  for (const known of channel.byId.values()) {
    if (state.messages[known.seq - 1]?.id !== known.id) {
      broken('A message is gone that somebody has seen:', known, state.head)
    }
  }
  verifySends(channel, state)
  for (const message of state.messages) verifyContent(channel, message, channel.byId.get(message.id)!)
  verifyRelations(state)
  verifyOutbox(channel, state)
  verifyMembers(channel, state)
  verifyChanges(channel, state)
}

/** Seqs are 1, 2, 3 …; ids and changes grow with them; the head is the newest. */
function verifyOrder(channel: ChannelHistory, { head, messages, messageCount }: ChannelState): void {
  messages.forEach((message, nth) => {
    if (message.seq !== nth + 1) broken(`After seq ${nth} comes ${message.seq}:`, messages[nth - 1] ?? null, message)
    const before = messages[nth - 1]
    if (before === undefined) return
    if (compareSnowflakes(before.id, message.id) >= 0) broken('Ids do not grow with seqs:', before, message)
    if (before.change >= message.change) broken('Changes do not grow with seqs:', before, message)
  })
  const last = messages.at(-1)
  if (messageCount !== messages.length) {
    broken(`There are ${messageCount} messages, of which pages show ${messages.length}.`, head)
  }
  if (head.lastSeq !== messages.length || head.firstSeq !== Math.min(1, messages.length)) {
    broken('The head counts otherwise:', head, messages.length)
  }
  if (last !== undefined && head.lastId !== last.id) broken('The head has another newest message:', head, last)
  if (head.lastSeq < channel.acknowledged.seq || head.lastChange < channel.acknowledged.change) {
    broken('What was acknowledged is gone:', head, channel.acknowledged)
  }
}

/** Each key has one row, and each row one message; what was acknowledged is what its key stands for. */
function verifySends(channel: ChannelHistory, state: ChannelState): void {
  if (state.keyCount !== state.keys.size || new Set(state.keys.values()).size !== state.keys.size) {
    broken(`${state.keyCount} rows hold ${state.keys.size} keys of ${new Set(state.keys.values()).size} messages.`)
  }
  let stored = 0
  for (const sent of channel.sends.values()) {
    const { message } = sent
    const kept = state.keys.get(keyOf(sent.authorId, sent.key))
    if (kept !== undefined) stored++
    if (message === null) {
      if (kept !== undefined && sent.unknown === 0) broken('Stored, though nobody was told so:', sent, kept)
      if (sent.refused.length > 0 && kept === undefined) broken('A send was refused for a key that is free:', sent)
      if (kept !== undefined) {
        const known = channel.byId.get(kept)
        if (known === undefined) broken('A key stands for no message:', sent, kept)
        known.sent = sent
      }
      continue
    }
    if (kept !== message.id) broken('A key stands for another message than the acknowledged one:', sent, kept)
    if (sent.stored === 0 && sent.unknown === 0) broken('Stored before it was sent:', sent)
  }
  if (stored !== state.keyCount) broken(`There are ${state.keyCount} keys, of which ${stored} were sent.`)
  const others = state.messages.length - stored
  if (others > channel.appended.size) {
    broken(`There are ${others} messages without a key, and the system said ${channel.appended.size}.`)
  }
  for (const message of state.messages) {
    if (channel.byId.get(message.id)!.sent !== undefined) continue
    if (!channel.appended.has(message.content)) broken('Nobody has sent this:', message)
  }
}

/** A message says what it was sent with, or was last edited to. */
function verifyContent(channel: ChannelHistory, message: ChannelState['messages'][number], known: Known): void {
  const { sent, touches } = known
  if (sent === undefined) return
  const bodies = sent.winner === null ? sent.bodies : [sent.winner]
  const certain = touches.filter((touch) => touch.change !== null)
  const unknown = touches.filter((touch) => touch.change === null)
  const isDeleted = message.deletedAt !== null
  const deletes = (list: typeof touches) => list.some(({ what }) => what === 'delete')
  if (isDeleted ? !deletes(touches) : deletes(certain)) {
    broken('Deleted or not, but not as it was done:', message, known)
  }
  if (isDeleted) {
    if (message.content !== '' || message.mentionIds.length > 0) {
      broken('A deleted message says something:', message)
    }
    return
  }
  const newest = (what: RegExp) =>
    certain.filter((touch) => what.test(touch.what)).toSorted((a, b) => b.change! - a.change!)[0]
  const edit = newest(/edit/)
  const mayBe = [
    ...(edit === undefined ? bodies : [edit]),
    ...unknown.filter(({ what }) => what === 'edit'),
  ].map((said) => said.digest)
  if (!mayBe.includes(digest(message.content))) broken('A message says what nobody has said last:', message, known)
  const mayBePinned = [
    newest(/pin/)?.what === 'pin',
    ...unknown.flatMap(({ what }) => (/pin/.test(what) ? [what === 'pin'] : [])),
  ]
  if (!mayBePinned.includes(message.pinnedAt !== null)) {
    broken('Pinned or not, but not as it was done last:', message, known)
  }
}

/** Mentions are noted, and replies counted and listed; who takes part in a thread follows it. */
function verifyRelations({ messages, mentions, replies: listed, threads }: ChannelState): void {
  const replies = new Map<string, number>()
  for (const { replyToId, deletedAt } of messages) {
    if (replyToId !== null && deletedAt === null) replies.set(replyToId, (replies.get(replyToId) ?? 0) + 1)
  }
  const noted = Map.groupBy(mentions, (mention) => mention.messageId)
  for (const message of messages) {
    const count = replies.get(message.id) ?? 0
    if (message.replyCount !== count) broken(`A message has ${count} replies and counts otherwise:`, message)
    const rows = noted.get(message.id) ?? []
    const named = rows.map((row) => row.userId).toSorted()
    if (`${named}` !== `${message.mentionIds.toSorted()}` || rows.some((row) => row.seq !== message.seq)) {
      broken('Mentions are noted that are not made, or the other way round:', rows, message)
    }
    noted.delete(message.id)
  }
  for (const rows of noted.values()) broken('A mention in no message:', rows)

  const byId = new Map(messages.map((message) => [message.id, message]))
  const answers = messages.filter((message) => message.replyToId !== null)
  if (listed.length !== answers.length) broken(`${listed.length} replies are listed, of ${answers.length}.`)
  for (const reply of listed) {
    const message = byId.get(reply.messageId)
    const isDeleted = message !== undefined && message.deletedAt !== null
    if (message?.replyToId !== reply.rootId || message.seq !== reply.seq || isDeleted !== reply.deleted) {
      broken('A reply is listed that is none:', reply, message ?? null)
    }
  }
  const positions = new Map<string, number>()
  for (const { replyToId, authorId, seq } of answers) {
    const root = byId.get(replyToId!)!
    const follow = (userId: string, seq: number) => {
      const key = `${root.id} ${userId}`
      positions.set(key, Math.max(seq, positions.get(key) ?? 0))
    }
    follow(root.authorId, root.seq)
    follow(authorId, seq)
  }
  if (threads.length !== positions.size) {
    broken(`${threads.length} people follow threads, and ${positions.size} should.`)
  }
  for (const thread of threads) {
    const position = positions.get(`${thread.messageId} ${thread.userId}`)
    if (thread.lastReadSeq !== position) {
      broken('A thread is followed otherwise than its replies say:', thread, position ?? null)
    }
  }
}

/** Each message that was sent is to have its jobs made, once; each month is known by its first message. */
function verifyOutbox(channel: ChannelHistory, { messages, outbox, buckets }: ChannelState): void {
  const sent = messages.filter((message) => channel.byId.get(message.id)!.sent !== undefined).map(({ seq }) => seq)
  const due = outbox.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, nth) => from + nth))
  const place = sent.findIndex((seq, nth) => due[nth] !== seq)
  if (place !== -1 || due.length !== sent.length) {
    broken('Jobs are due for others than were sent:', sent[place] ?? null, due[place] ?? due.at(-1))
  }
  const expected = messages
    .map((message) => ({ firstSeq: message.seq, firstChange: message.change, bucket: bucketOfMessage(message) }))
    .filter(({ bucket }, nth, all) => bucket !== all[nth - 1]?.bucket)
  if (JSON.stringify(expected) !== JSON.stringify(buckets)) broken('The months begin elsewhere:', expected, buckets)
}

/** Nobody has written while they were out; sending has moved their read position to their newest message. */
function verifyMembers(channel: ChannelHistory, { head, members, messages }: ChannelState): void {
  const newest = new Map(messages.map((message) => [message.authorId, message.seq]))
  const ins = members.filter((member) => member.isIn).length
  if (head.memberCount !== ins) broken(`There are ${ins} members, and the channel counts otherwise:`, head)
  const ranges = new Map<string, [number, boolean][]>()
  for (const { userId, change, isIn, joinedSeq, lastReadSeq } of members) {
    channel.observeMembership(userId, change, isIn)
    const position = Math.max(joinedSeq, newest.get(userId) ?? 0)
    if (lastReadSeq !== position) broken(`${userId} has read up to ${lastReadSeq}, and should have to ${position}.`)
    ranges.set(userId, [...channel.membership.get(userId)!].toSorted(([a], [b]) => a - b))
  }
  for (const message of messages) {
    const standing = ranges.get(message.authorId)?.findLast(([change]) => change < message.change)
    if (standing?.[1] !== true) broken('Somebody wrote who was no member:', standing ?? null, message)
  }
}

/**
 * Change numbers have no holes: each is the creation of one message, the newest touch of one, the newest change of one
 * membership, or the newest of name and topic; or else something of these kinds that happened again later, of which
 * nothing is kept. Of those somebody was told, but for as many as may have been made by acts whose outcome was lost.
 */
function verifyChanges(channel: ChannelHistory, { head, messages, touches, members }: ChannelState): void {
  const kept = new Map<number, string>()
  const keep = (change: number, what: string) => {
    if (change < 1 || change > head.lastChange) broken(`Change ${change}, ${what}, is none of the channel’s:`, head)
    if (kept.has(change)) broken(`Change ${change} is two things:`, kept.get(change), what)
    kept.set(change, what)
    channel.observeChange(change, what, 'who looked afterwards')
  }
  const newest = new Map<string, number>()
  for (const { id, change } of messages) keep(change, `created ${id}`)
  for (const { messageId, change } of touches) {
    keep(change, `touched ${messageId}`)
    newest.set(`touched ${messageId}`, change)
  }
  for (const { userId, change } of members) {
    keep(change, `member ${userId}`)
    newest.set(`member ${userId}`, change)
  }
  if (head.infoChange > 0) keep(head.infoChange, 'info')
  newest.set('info', head.infoChange)
  for (const { id, change, version } of messages) {
    const touched = newest.get(`touched ${id}`)
    if (version !== (touched ?? change)) {
      broken(`A message’s version is not its newest change, ${touched ?? change}:`, id, version)
    }
  }

  const unexplained: number[] = []
  for (let change = 1; change <= head.lastChange; change++) {
    if (kept.has(change)) continue
    const what = channel.changes[change]
    if (what === undefined) unexplained.push(change)
    else if ((newest.get(what) ?? 0) <= change) {
      broken(`Change ${change} was ${what}, and is not kept:`, newest.get(what) ?? null)
    }
  }
  if (head.lastChange > 0 && !kept.has(head.lastChange)) broken('The newest change is not kept:', head)
  if (unexplained.length > channel.unheard) {
    const most = `at most ${channel.unheard} were made unheard`
    broken(`${unexplained.length} change numbers stand for nothing, and ${most}:`, unexplained)
  }
}
