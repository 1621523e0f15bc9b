import { setTimeout as sleep } from 'node:timers/promises'
import { operation } from '../../schema/testing/operations.ts'
import { decodeCursor } from '../fanout/cursor.ts'
import { fetchMessages, keptMessage, type KeptMessage } from './copy-of-messages.ts'
import { listen, type Listening } from './listen.ts'
import type { Random } from './random.ts'
import type { Person, Replica } from './test-app.ts'

/** A channel as a device keeps it. */
export type KeptChannel = {
  name: string | null
  topic: string | null
  lastReadSeq: number
  notificationLevel: string
  draft: string | null
  /** Role by user id. */
  members: Map<string, string>
  messages: Map<string, KeptMessage>
}

/** What the viewer has of a channel, whoever tells it. */
type Own = { id: string; cursor: string; name: string | null; topic: string | null; viewerDraft: string | null; viewerMembership: OwnMember | null }
type OwnMember = { lastReadSeq: number; notificationLevel: string }
const own = 'id cursor name topic viewerDraft viewerMembership { lastReadSeq notificationLevel }'

type Event = { stream: string; cursor: string } & (
  | { __typename: 'MessageEvent'; message: KeptMessage & { channel: { id: string } } }
  | { __typename: 'MembershipEvent'; channel: { id: string }; user: { id: string }; member: { role: string; joinedAt: string } | null }
  | { __typename: 'ChannelUpdatedEvent'; channel: Own }
  | { __typename: 'ReadStateEvent'; channel: { id: string }; lastReadSeq: number }
  | { __typename: 'SyncedEvent' }
)

const inboxOperation = operation<{ inbox: Event }, { after: string[] }>(`
  subscription CopyInbox($after: [String!]) {
    inbox(after: $after) {
      __typename
      ... on Event { stream cursor }
      ... on MessageEvent { message { ${keptMessage} channel { id } } }
      ... on MembershipEvent { channel { id } user { id } member { role joinedAt } }
      ... on ChannelUpdatedEvent { channel { ${own} } }
      ... on ReadStateEvent { channel { id } lastReadSeq }
    }
  }
`)

type Roster = { members: { edges: { node: { role: string; user: { id: string } } }[] } }
const channelOperation = operation<{ channel: (Own & Roster) | null }, { id: string }>(
  `query CopyChannel($id: ID!) { channel(id: $id) { ${own} members(first: 100) { edges { node { role user { id } } } } } }`,
)
const channelsOperation = operation<{ channels: { edges: { node: { id: string } }[] } }, Record<string, never>>(
  'query CopyChannels { channels(first: 100) { edges { node { id } } } }',
)

type Fetched = { channel: KeptChannel; cursor: string }

/** One channel as it is now, and where its stream stood by then; null where the viewer may not read it any more. */
async function fetchChannel(person: Person, id: string): Promise<Fetched | null> {
  try {
    const [{ channel }, messages] = [await person.client.request(channelOperation, { id }), await fetchMessages(person, id)]
    if (channel?.viewerMembership == null) return null
    const { name, topic, cursor, viewerDraft: draft, viewerMembership } = channel
    const members = new Map(channel.members.edges.map(({ node }) => [node.user.id, node.role]))
    return { channel: { name, topic, draft, ...pick(viewerMembership), members, messages }, cursor }
  } catch (error) {
    if ((error as { code?: string }).code === 'FORBIDDEN') return null
    throw error
  }
}

const pick = ({ lastReadSeq, notificationLevel }: OwnMember) => ({ lastReadSeq, notificationLevel })

/** All of somebody's channels, by id, as they are now. */
export async function fetchInbox(person: Person): Promise<Map<string, Fetched>> {
  const { channels } = await person.client.request(channelsOperation, {})
  const fetched = new Map<string, Fetched>()
  for (const { node } of channels.edges) {
    const channel = await fetchChannel(person, node.id)
    if (channel !== null) fetched.set(node.id, channel)
  }
  return fetched
}

/**
 * A device's copy of somebody's channels, kept from the inbox alone but for channels that are joined, which are read
 * anew. It breaks off at random, pauses at random, and goes on from its cursors on any replica.
 */
export function copyInbox(person: Person, replicas: readonly Replica[], random: Random) {
  const kept = new Map<string, KeptChannel>()
  const faults: string[] = []
  const cursors = new Map<string, string>()
  /** The last change that each stream has told. */
  const told = new Map<string, number>()
  const joinedAt = new Map<string, string>()
  /** Events are applied one after the other, also while a channel is read. */
  let applied: Promise<void> = Promise.resolve()
  let isSynced = false
  let isOver = false
  let left = 0
  let current: Listening<{ inbox: Event }>

  function advance({ stream, cursor, __typename }: Event) {
    const [last, now] = [told.get(stream) ?? -1, decodeCursor(cursor)!.change]
    // Where a stream stands is told again by what is not a change of its own.
    const mayRepeat = __typename === 'SyncedEvent' || (__typename === 'ReadStateEvent' && stream.startsWith('c'))
    if (now < last || (now === last && !mayRepeat)) faults.push(`${__typename}: change ${now} after ${last} of ${stream}`)
    told.set(stream, now)
    cursors.set(stream, cursor)
  }

  function keep(channelId: string, { channel, cursor }: Fetched) {
    kept.set(channelId, channel)
    // A stream that is not named begins with what comes, anew with each connection: so the quiet ones need a cursor too.
    if (!cursors.has(channelId)) cursors.set(channelId, cursor)
  }

  function forget(channelId: string) {
    kept.delete(channelId)
    cursors.delete(channelId)
    told.delete(channelId)
    joinedAt.delete(channelId)
  }

  async function apply(event: Event) {
    if (event.__typename === 'SyncedEvent') {
      advance(event)
      if (!isSynced) for (const [id, fetched] of await fetchInbox(person)) keep(id, fetched)
      isSynced = true
      return
    }
    // What else an account is told changes nothing that is kept here.
    if (event.__typename !== 'MessageEvent' && !('channel' in event)) return advance(event)
    const channelId = event.__typename === 'MessageEvent' ? event.message.channel.id : event.channel.id
    const isOwnMembership = event.__typename === 'MembershipEvent' && event.stream === person.id
    // What is still on its way of a channel that was left concerns nobody any more.
    if (event.stream === channelId && isSynced && !kept.has(channelId)) return
    advance(event)
    if (isOwnMembership) {
      if (event.member === null) forget(channelId)
      else if (joinedAt.get(channelId) !== event.member.joinedAt || !kept.has(channelId)) {
        joinedAt.set(channelId, event.member.joinedAt)
        const fetched = await fetchChannel(person, channelId)
        if (fetched !== null) keep(channelId, fetched)
      }
      return
    }
    const channel = kept.get(channelId)
    if (channel === undefined) return
    if (event.__typename === 'MessageEvent') {
      const { channel: _, ...message } = event.message
      const known = channel.messages.get(message.id)
      if (known === undefined || known.version <= message.version) channel.messages.set(message.id, message)
    } else if (event.__typename === 'MembershipEvent') {
      if (event.member === null) channel.members.delete(event.user.id)
      else channel.members.set(event.user.id, event.member.role)
    } else if (event.__typename === 'ReadStateEvent') channel.lastReadSeq = event.lastReadSeq
    else {
      const { name, topic, viewerDraft: draft, viewerMembership } = event.channel
      Object.assign(channel, { name, topic, draft })
      if (viewerMembership !== null) channel.notificationLevel = viewerMembership.notificationLevel
    }
  }

  function open() {
    current = listen(random.pick(replicas), person, inboxOperation, { after: [...cursors.values()] }, ({ inbox }) => {
      if (left <= 0) return
      applied = applied.then(() => apply(inbox)).catch((error: unknown) => void faults.push(String(error)))
      if (--left === 0) current.cut()
    })
    return current
  }

  const untilSynced = async () => {
    while (!isSynced && faults.length === 0) await sleep(10)
  }

  async function run() {
    while (!isOver) {
      // Until it has once read everything there is nothing to break off.
      left = isSynced && random.chance(0.5) ? 1 + random.below(12) : Number.POSITIVE_INFINITY
      const listening = open()
      const pauses = setInterval(() => {
        if (!random.chance(0.3)) return
        listening.pause()
        setTimeout(listening.resume, random.below(100))
      }, 50)
      await Promise.race([listening.ended, sleep(300 + random.below(1_500)).then(untilSynced)])
      clearInterval(pauses)
      listening.cut()
      const end = await listening.ended
      if (end !== 'cut') faults.push(`ended with ${end}`)
      if (listening.failures.length > 0) faults.push(`failed with ${JSON.stringify(listening.failures)}`)
      left = 0
      await applied
      if (random.chance(0.4)) await sleep(random.below(600))
    }
  }
  const running = run()

  return {
    /** The channels that it knows, by id. */
    kept,
    faults,
    /** Breaks off no more, but stays to the end. */
    async settle(isSettled: () => Promise<void>) {
      isOver = true
      await running
      left = Number.POSITIVE_INFINITY
      open()
      try {
        await isSettled()
      } finally {
        current.stop()
        await applied
      }
    },
  }
}
