import type { Chronicle } from './chronicle.ts'
import type { ChannelLedger } from './ledger.ts'
import { changeOf, type Listener } from './listener.ts'
import type { Selection } from './selections.ts'
import { createTrack, standing, tell, type Track } from './track.ts'

/** Who looks at a viewer's own fields, and what they must be. */
export type OwnFields = { draft: string; lastReadSeq: number; neverReacts: boolean }

export type MessagesListener = Listener & { track: Track; selection: Selection; isRefused(): boolean }

export type MessagesOptions = {
  chronicle: Chronicle
  name: string
  channel: ChannelLedger
  userId: string
  selection: Selection
  /** Where to begin. */
  cursor: string
  isComer?: boolean
  /** What a viewer of an own selection must find; null where that changes. */
  own?: OwnFields | null
  /** The messages that were fetched with the cursor. */
  page?: any[]
}

/** Listens to the messages of one channel, and keeps them. */
export function listenToMessages(options: MessagesOptions): MessagesListener {
  const { chronicle, channel, userId, selection, isComer = false, own = null } = options
  let { cursor } = options
  const trail = chronicle.trail(options.name)
  const track = createTrack({ trail, channel, userId, scope: 'messages', isComer, base: changeOf(cursor) })
  const query = `subscription($channelId: ID!, $after: String) {
    messages(channelId: $channelId, after: $after) { cursor kind message { ${selection.text} } }
  }`
  let isRefused = false
  for (const message of options.page ?? []) keep(track, selection, message)

  return {
    trail,
    track,
    selection,
    isRefused: () => isRefused,

    async open() {
      track.begins.push(changeOf(cursor))
      trail.note(`subscribes to ${channel.id} after ${changeOf(cursor)}`)
      return { query, variables: { channelId: channel.id, after: cursor } }
    },

    next({ messages: event }) {
      isRefused = false
      chronicle.count('deliveries')
      hearMessage(track, selection, event, chronicle)
      cursor = event.cursor
      if (own !== null) checkOwn(event.message, own)
    },

    ended(code) {
      trail.note(`${channel.id} ends with ${code}`)
      if (code === 'FORBIDDEN' && isComer) {
        isRefused = true
        return 'later'
      }
      return isForNow(code, track, chronicle)
    },

    lacks() {
      const { final } = channel
      if (final === null || isRefused) return null
      const { messageChange } = final
      return standing(track) >= messageChange ? null : `stands at ${standing(track)} of ${messageChange} in ${channel.id}`
    },
  }

  function checkOwn(message: any, { draft, lastReadSeq, neverReacts }: OwnFields) {
    const { viewerDraft, unreadCount, lastSeq } = message.channel
    const told = { viewerDraft, unreadCount, lastSeq, reactions: message.reactions }
    const isTheirs =
      viewerDraft === draft &&
      unreadCount === lastSeq - lastReadSeq &&
      !(neverReacts && message.reactions.some((reaction: any) => reaction.viewerHasReacted))
    if (!isTheirs) chronicle.find('viewer', trail, 'An answer is not the viewer’s own.', [told, { draft, lastReadSeq }])
  }
}

/** Keeps a message as it is now, unless a newer one is known. */
export function keep(track: Track, selection: Selection, message: any): number {
  const place = track.channel.place(message.id)
  if ((track.versions.get(place) ?? 0) > message.version) return place
  track.versions.set(place, message.version)
  track.prints.set(place, selection.print(message, track.userId))
  return place
}

/** Takes in what is told of a message, and looks at whether it may come now. */
export function hearMessage(track: Track, selection: Selection, event: any, chronicle: Chronicle): void {
  const { cursor, kind, message } = event
  const { channel, trail } = track
  const [change, at] = [changeOf(cursor), chronicle.now()]
  const before = standing(track)
  if (change <= before) {
    chronicle.find('order', trail, `Change ${change} comes after ${before}.`, [{ channel: channel.id, kind, message }])
    return
  }
  if (message.version < change) {
    chronicle.find('order', trail, `Change ${change} tells of version ${message.version}.`, [{ kind, message }])
  }
  const place = keep(track, selection, message)
  channel.tellMessage(change, place, message.version, message.content, trail.who)
  tell(track, change, at, place, kind === 'CREATED')
}

/** Whether it makes sense to ask again. Whatever clients can do nothing about is a fault. */
export function isForNow(code: string, { trail }: { trail: Track['trail'] }, chronicle: Chronicle): 'again' | 'never' {
  if (code === 'UNAVAILABLE' || code === 'RATE_LIMITED') {
    chronicle.count(`subscriptions refused with ${code}`)
    return 'again'
  }
  chronicle.find('answer', trail, `A subscription has ended with ${code}.`)
  return 'never'
}
