import type { Chronicle } from './chronicle.ts'
import type { ChannelLedger, Ledger } from './ledger.ts'
import { changeOf, type Listener } from './listener.ts'
import { hearMessage, isForNow, keep } from './messages-listener.ts'
import { type Selection, wholeSelection } from './selections.ts'
import { createTrack, standing, tell, type Track } from './track.ts'

/** A channel as a device keeps it from its inbox. */
export type KeptChannel = {
  track: Track
  name: string | null
  topic: string | null
  draft: string | null
  level: string | null
  lastReadSeq: number
  /** Role by user id. */
  members: Map<string, string>
  joinedAt: string | null
}

export type InboxListener = Listener & { kept: Map<string, KeptChannel>; selection: Selection; isSynced(): boolean }

/** What a viewer has of a channel of their own. */
export const ownChannel = 'id cursor name topic viewerDraft viewerMembership { lastReadSeq notificationLevel joinedAt }'

const selection = wholeSelection

const query = `subscription($after: [String!]) {
  inbox(after: $after) {
    __typename
    ... on MessageEvent { stream cursor kind message { ${selection.text} } }
    ... on MembershipEvent { stream cursor channel { id } user { id } member { role joinedAt } }
    ... on ChannelUpdatedEvent { stream cursor channel { ${ownChannel} } }
    ... on ReadStateEvent { stream cursor channel { id } lastReadSeq }
    ... on SyncedEvent { stream cursor }
  }
}`

const channelQuery = `query($id: ID!) {
  channel(id: $id) {
    ${ownChannel} members(first: 100) { edges { node { role user { id } } } }
    messages(last: 30) { edges { node { ${selection.text} } } }
  }
}`

/** Listens to everything that concerns somebody, and keeps their channels. `fetch` asks until there is an answer. */
export function listenToInbox(options: {
  chronicle: Chronicle
  ledger: Ledger
  name: string
  userId: string
  /** The channels that the user may be put out of. */
  comesTo: ReadonlySet<string>
  fetch(query: string, variables?: object): Promise<any>
}): InboxListener {
  const { chronicle, ledger, userId, comesTo } = options
  const trail = chronicle.trail(options.name)
  const kept = new Map<string, KeptChannel>()
  const cursors = new Map<string, string>()
  let applied: Promise<void> = Promise.resolve()
  let isSynced = false
  /** The newest change of the account. */
  let account = -1

  async function fetchChannel(id: string): Promise<void> {
    const { channel } = await options.fetch(channelQuery, { id }).catch((error: { code?: string }) => {
      // They have been put out again meanwhile, which will be told.
      if (error.code === 'FORBIDDEN') return { channel: null }
      throw error
    })
    if (channel?.viewerMembership == null) return forget(id)
    const { name, topic, cursor, viewerDraft: draft, viewerMembership: own } = channel
    const isComer = comesTo.has(id)
    const base = changeOf(cursor)
    const track = createTrack({ trail, channel: ledger.channel(id), userId, scope: 'everything', isComer, base })
    track.begins.push(undefined)
    for (const { node } of channel.messages.edges) keep(track, selection, node)
    const members = new Map<string, string>(channel.members.edges.map(({ node }: any) => [node.user.id, node.role]))
    const { lastReadSeq, notificationLevel: level, joinedAt } = own
    kept.set(id, { track, name, topic, draft, level, lastReadSeq, members, joinedAt })
    cursors.set(id, cursor)
  }

  async function fetchAll(): Promise<void> {
    const { channels } = await options.fetch('{ channels(first: 100) { edges { node { id } } } }')
    for (const { node } of channels.edges) await fetchChannel(node.id)
  }

  function forget(id: string) {
    kept.delete(id)
    cursors.delete(id)
  }

  /** What stands on the account's own stream. */
  async function applyOwn(event: any, change: number): Promise<void> {
    if (change < account || (change === account && event.__typename !== 'SyncedEvent')) {
      chronicle.find('order', trail, `${event.__typename}: change ${change} of the account comes after ${account}.`, [event])
    }
    account = change
    cursors.set(event.stream, event.cursor)
    if (event.__typename === 'SyncedEvent') {
      if (!isSynced) await fetchAll()
      isSynced = true
      return
    }
    const { id } = event.channel
    const channel = kept.get(id)
    if (event.__typename === 'MembershipEvent') {
      if (event.member === null) forget(id)
      else if (channel?.joinedAt !== event.member.joinedAt) await fetchChannel(id)
    } else if (channel === undefined) return
    else if (event.__typename === 'ReadStateEvent') channel.lastReadSeq = event.lastReadSeq
    else applyInfo(channel, event.channel)
  }

  function applyInfo(channel: KeptChannel, { name, topic, viewerDraft, viewerMembership }: any) {
    Object.assign(channel, { name, topic, draft: viewerDraft })
    if (viewerMembership !== null) channel.level = viewerMembership.notificationLevel
  }

  async function apply(event: any): Promise<void> {
    const change = changeOf(event.cursor)
    if (event.stream === userId) return applyOwn(event, change)
    const channel = kept.get(event.stream)
    // What is still on its way of a channel that was left, or will be fetched, concerns nobody.
    if (channel === undefined) return
    const { track } = channel
    if (event.__typename === 'ReadStateEvent') {
      // Told before a message of one's own, with the cursor before it: no change by itself, and as of now.
      channel.lastReadSeq = event.lastReadSeq
      return
    }
    // It was fetched after this; then it is in what was fetched.
    if (change <= track.base) return
    if (event.__typename === 'MessageEvent') hearMessage(track, selection, event, chronicle)
    else hearOther(channel, event, change)
    cursors.set(event.stream, event.cursor)
  }

  function hearOther(channel: KeptChannel, event: any, change: number) {
    const { track } = channel
    const before = standing(track)
    if (change <= before) {
      chronicle.find('order', trail, `${event.__typename}: change ${change} comes after ${before}.`, [event])
      return
    }
    const isMembership = event.__typename === 'MembershipEvent'
    const thing = isMembership ? `member ${event.user.id}` : 'info'
    if (isMembership) {
      track.channel.tellMember(change, event.user.id, event.member !== null, trail.who)
      if (event.member === null) channel.members.delete(event.user.id)
      else channel.members.set(event.user.id, event.member.role)
    } else {
      track.channel.tellInfo(change, trail.who)
      applyInfo(channel, event.channel)
    }
    tell(track, change, chronicle.now(), thing)
  }

  return {
    trail,
    kept,
    selection,
    isSynced: () => isSynced,

    async open() {
      await applied
      const places: string[] = []
      for (const [id, { track }] of kept) {
        const cursor = cursors.get(id)
        track.begins.push(cursor === undefined ? undefined : changeOf(cursor))
        places.push(`${id.slice(-6)} ${cursor === undefined ? '-' : changeOf(cursor)}`)
      }
      trail.note(`subscribes to the inbox after ${account}, ${places.join(', ')}`)
      return { query, variables: { after: [...cursors.values()] } }
    },

    next({ inbox: event }) {
      if (event.__typename !== 'SyncedEvent') chronicle.count('deliveries')
      applied = applied.then(() => apply(event)).catch((error: unknown) => {
        if (!chronicle.over.aborted) chronicle.find('answer', trail, String(error))
      })
    },

    ended(code) {
      trail.note(`the inbox ends with ${code}`)
      return isForNow(code, { trail }, chronicle)
    },

    lacks() {
      if (!isSynced) return 'is not synced'
      for (const { track } of kept.values()) {
        const missing = lacksOf(track.channel, track)
        if (missing !== null) return missing
      }
      return null
    },
  }
}

const lacksOf = ({ id, final }: ChannelLedger, track: Track): string | null =>
  final === null || standing(track) >= final.change ? null : `stands at ${standing(track)} of ${final.change} in ${id}`
