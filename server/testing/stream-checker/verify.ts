import type { Cast } from './cast.ts'
import { type InboxListener, ownChannel } from './inbox-listener.ts'
import type { Final } from './ledger.ts'
import { changeOf, type Listener } from './listener.ts'
import type { MessagesListener } from './messages-listener.ts'
import { everything } from './selections.ts'
import { comesAbout, type Person, type Stage } from './stage.ts'
import { prune } from './track.ts'
import { type Truth, verifyTrack } from './verify-track.ts'

/** Everybody whose devices are looked at. */
export type Listeners = { messages: MessagesListener[]; inboxes: { person: Person; inbox: InboxListener }[] }

/** From when all is calm, everybody must have heard everything. Milliseconds. */
const heardWithinMs = 45_000

/** What takes longer than this is looked into: a client that comes back, and a few comparisons of heads. Milliseconds. */
const strangeMs = 10_000

/**
 * Waits until everybody has been told everything, and holds it against what is fetched anew. To be called when nobody
 * changes anything any more. `isExact` where nothing has gone wrong since the last time.
 */
export async function verify(stage: Stage, cast: Cast, listeners: Listeners, isExact: boolean): Promise<void> {
  const { chronicle, ledger } = stage
  const [alice, , carol] = cast.writers
  for (const { id } of cast.channels) {
    const reader = cast.channels.find((channel) => channel.id === id)!.members.includes(alice!) ? alice! : carol!
    const channel = ledger.channel(id)
    channel.final = await fetchFinal(stage, id, reader)
    verifyHistory(stage, id, channel.final)
  }

  const all: Listener[] = [...listeners.messages, ...listeners.inboxes.map(({ inbox }) => inbox)]
  const lacking = () => all.flatMap((listener) => {
    const lacks = listener.lacks()
    return lacks === null ? [] : [{ listener, lacks }]
  })
  const since = performance.now()
  const isWaitedFor = ({ listener }: { listener: Listener }) => !stage.isLiedTo(listener.trail.who)
  let last: { listener: Listener; lacks: string } | undefined
  const isAllTold = () => {
    const missing = lacking().find(isWaitedFor)
    last = missing ?? last
    return missing === undefined
  }
  if (await comesAbout(isAllTold, heardWithinMs)) {
    const tookMs = Math.round(performance.now() - since)
    chronicle.count('milliseconds until everything was told', tookMs)
    if (tookMs > strangeMs) chronicle.remark(last!.listener.trail, `It was told everything ${tookMs} ms after all was calm; it ${last!.lacks}.`)
  }
  const slow = new Set(lacking().map(({ listener, lacks }) => {
    chronicle.find('complete', listener.trail, `It ${lacks}, ${heardWithinMs / 1_000} s after everything has become calm.`)
    return listener
  }))

  const truths = new Map(cast.channels.map(({ id }): [string, Truth] => {
    const channel = ledger.channel(id)
    return [id, { final: channel.final!, earliest: channel.earliest(), next: channel.next(), isExact }]
  }))
  for (const listener of listeners.messages) {
    const { track, selection } = listener
    if (!slow.has(listener)) verifyTrack(track, selection, truths.get(track.channel.id)!, chronicle)
    // One that was refused has not been told what it may hear when it is back.
    if (!listener.isRefused()) prune(track, track.channel.final!.change)
  }
  for (const { person, inbox } of listeners.inboxes) {
    for (const { track } of inbox.kept.values()) {
      if (!slow.has(inbox)) verifyTrack(track, inbox.selection, truths.get(track.channel.id)!, chronicle)
      prune(track, track.channel.final!.change)
    }
    if (!slow.has(inbox)) await verifyInbox(stage, person, inbox)
  }
  verifyRefusals(stage, cast, listeners)
}

/** Everything that there is in a channel, while nothing changes. */
async function fetchFinal(stage: Stage, id: string, reader: Person): Promise<Final> {
  const query = `query($id: ID!, $after: String) {
    channel(id: $id) { messages(first: 100, after: $after) { edges { node { ${everything} } } pageInfo { hasNextPage endCursor } } }
  }`
  const { channel } = await stage.ask(
    reader,
    'query($id: ID!) { channel(id: $id) { cursor name topic members(first: 1) { totalCount } } }',
    { id },
  )
  const known = stage.ledger.channel(id)
  const messages = new Map<number, any>()
  for (let after: string | null = null; ; ) {
    const { channel: page }: { channel: any } = await stage.ask(reader, query, { id, after })
    for (const { node } of page.messages.edges) messages.set(known.place(node.id), node)
    if (!page.messages.pageInfo.hasNextPage) break
    after = page.messages.pageInfo.endCursor
  }
  const members = await fetchMembers(stage, id, reader)
  const messageChange = messages.values().reduce((most, { version }) => Math.max(most, version), 0)
  return { change: changeOf(channel.cursor), messageChange, name: channel.name, topic: channel.topic, messages, members }
}

async function fetchMembers(stage: Stage, id: string, reader: Person): Promise<Map<string, string>> {
  const query = `query($id: ID!) { channel(id: $id) { members(first: 100) { edges { node { role user { id } } } } } }`
  const { channel } = await stage.ask(reader, query, { id })
  return new Map(channel.members.edges.map(({ node }: any) => [node.user.id, node.role]))
}

/** What was acknowledged is there, once; and all that is there was told to somebody in the same state. */
function verifyHistory({ chronicle, ledger }: Stage, id: string, { messages }: Final): void {
  const channel = ledger.channel(id)
  const keys = new Map<string, string>()
  const seqs = new Set<number>()
  for (const [place, message] of messages) {
    channel.tellMessage(message.version, place, message.version, message.content, 'history')
    if (seqs.has(message.seq)) chronicle.find('acknowledged', 'history', 'Two messages have one seq.', [message])
    seqs.add(message.seq)
    const key = /^key-\d+/.exec(message.content)?.[0]
    if (key === undefined) continue
    if (keys.has(key)) chronicle.find('acknowledged', 'history', 'One send is there twice.', [message])
    keys.set(key, message.id)
  }
  for (let seq = 1; seq <= seqs.size; seq++) {
    if (!seqs.has(seq)) chronicle.find('acknowledged', 'history', `There is no message ${seq}, of ${seqs.size}.`, [{ channel: id }])
  }
  for (const [key, messageId] of channel.acknowledged) {
    const known = messages.get(channel.place(messageId))
    if (known === undefined) chronicle.find('acknowledged', 'history', `${key} was acknowledged and is gone.`, [{ id, messageId }])
  }
}

/** Beside the messages, an inbox tells of the channels themselves and of what the viewer has of them. */
async function verifyInbox({ ask, chronicle, ledger }: Stage, person: Person, inbox: InboxListener): Promise<void> {
  const query = `{ channels(first: 100) { edges { node { ${ownChannel} } } } }`
  const { channels } = await ask(person, query)
  const there = new Map<string, any>(channels.edges.map(({ node }: any) => [node.id, node]))
  const wrong: unknown[] = []
  for (const id of new Set([...there.keys(), ...inbox.kept.keys()])) {
    const [now, kept] = [there.get(id), inbox.kept.get(id)]
    if (now === undefined || kept === undefined) {
      wrong.push({ id, isThere: now !== undefined, isKept: kept !== undefined })
      continue
    }
    const { members } = ledger.channel(id).final!
    const fetched = [now.name, now.topic, now.viewerDraft, now.viewerMembership.notificationLevel, now.viewerMembership.lastReadSeq]
    const known = [kept.name, kept.topic, kept.draft, kept.level, kept.lastReadSeq]
    if (JSON.stringify(fetched) !== JSON.stringify(known)) wrong.push({ id, fetched, known })
    // Of a large channel only the first page was fetched; who is in it must be as they were told.
    for (const [userId, role] of members) {
      const isKept = kept.members.get(userId)
      if (isKept !== role && members.size < 100) wrong.push({ id, userId, role, kept: isKept ?? null })
    }
  }
  if (wrong.length > 0) chronicle.find('state', inbox.trail, 'The inbox is kept otherwise than it is.', wrong.slice(0, 3))
}

/** Who is out of a channel is not let in to its stream. */
function verifyRefusals({ chronicle }: Stage, cast: Cast, { messages }: Listeners): void {
  for (const { track, isRefused, trail } of messages) {
    if (!track.isComer) continue
    const channel = cast.channels.find(({ id }) => id === track.channel.id)!
    const isMember = channel.members.some(({ id }) => id === track.userId)
    if (isMember !== isRefused()) continue
    const what = isMember ? 'Let in again, and still refused.' : 'Put out, and not refused.'
    chronicle.find('removed', trail, what, [{ channel: channel.id }])
  }
}
