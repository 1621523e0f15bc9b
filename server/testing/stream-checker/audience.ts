import type { Random } from '../random.ts'
import type { Cast, Channel } from './cast.ts'
import { type Device, startDevice } from './device.ts'
import { type InboxListener, listenToInbox } from './inbox-listener.ts'
import type { Listener } from './listener.ts'
import { listenToMessages, type MessagesListener, type OwnFields } from './messages-listener.ts'
import { ownSelection, type Selection } from './selections.ts'
import type { Person, Stage } from './stage.ts'
import type { Listeners } from './verify.ts'

export type Audience = Listeners & { devices: Device[] }

/** Messages that stand in #general before anybody listens, so that read positions can differ. */
export const opening = 40

/** One in so many devices goes through a proxy that can fall silent. */
const proxied = 8

/** What is put in the place of a frame that comes. */
export type Tamper = (frame: string) => string[]

/** Makes a liar of a device, or leaves it honest. `asks` is what it listens to. */
export type Corrupt = (device: { name: string; asks: 'messages' | 'own' | 'inbox' }) => Tamper | undefined

/**
 * Gives everybody devices, `count` in all or a few more: about half of them listen to one or two channels with
 * selections that differ, a third to the inbox, and the others ask for what depends on the viewer.
 */
export async function gatherAudience(
  stage: Stage,
  cast: Cast,
  selections: readonly Selection[],
  count: number,
  fork: () => Random,
  corrupt: Corrupt = () => undefined,
): Promise<Audience> {
  const { chronicle, ledger } = stage
  const random = fork()
  const devices: Device[] = []
  const messages: MessagesListener[] = []
  const inboxes: { person: Person; inbox: InboxListener }[] = []
  const starts = new Map<string, string>()
  for (const channel of cast.channels) starts.set(channel.id, await cursorOf(channel))

  async function cursorOf(channel: Channel): Promise<string> {
    const { channel: found } = await stage.ask(channel.members[0]!, 'query($id: ID!) { channel(id: $id) { cursor } }', channel)
    return found.cursor
  }

  function start(person: Person, name: string, asks: 'messages' | 'own' | 'inbox', listeners: Listener[]) {
    const isProxied = devices.length % proxied === 0
    const tamper = corrupt({ name, asks })
    devices.push(startDevice({ name, token: person.token, listeners, random: fork(), isProxied, ...(tamper && { tamper }) }, stage))
  }

  function messagesOf(person: Person, name: string, channel: Channel, selection: Selection, own: OwnFields | null = null) {
    const listener = listenToMessages({
      chronicle,
      name,
      channel: ledger.channel(channel.id),
      userId: person.id,
      selection,
      cursor: starts.get(channel.id)!,
      isComer: cast.comers.includes(person),
      own,
    })
    messages.push(listener)
    return listener
  }

  function inboxOf(person: Person, name: string) {
    const open = cast.comers.includes(person) ? cast.channels.filter((channel) => channel.hasComers) : []
    const comesTo = new Set(open.map((channel) => channel.id))
    const fetch = (query: string, variables: object = {}) => stage.ask(person, query, variables)
    const inbox = listenToInbox({ chronicle, ledger, name, userId: person.id, comesTo, fetch })
    inboxes.push({ person, inbox })
    return inbox
  }

  /** Somebody whose own fields never change: a draft of their own, a read position of their own. */
  async function ownFieldsOf(person: Person, nth: number): Promise<OwnFields> {
    const [draft, lastReadSeq] = [`the draft of ${person.username}`, 1 + (nth % (opening - 1))]
    const query = `mutation($id: ID!, $draft: String, $seq: Int!) {
      saveDraft(channelId: $id, content: $draft) { channel { id } } markRead(channelId: $id, seq: $seq) { channel { id } }
    }`
    await stage.ask(person, query, { id: cast.general.id, draft, seq: lastReadSeq })
    return { draft, lastReadSeq, neverReacts: true }
  }

  for (const comer of cast.comers) {
    const open = cast.channels.filter((channel) => channel.hasComers)
    const name = `${comer.username}’s device`
    // Several subscriptions on one socket.
    const messages = open.map((channel) => messagesOf(comer, name, channel, random.pick(selections)))
    start(comer, name, 'messages', [...messages, inboxOf(comer, name)])
  }
  for (const writer of cast.writers) {
    start(writer, `${writer.username}’s phone`, 'inbox', [inboxOf(writer, `${writer.username}’s phone`)])
    const name = `${writer.username}’s desk`
    start(writer, name, 'own', [messagesOf(writer, name, cast.general, ownSelection)])
  }
  for (let nth = 0; devices.length < count; nth++) {
    const place = nth % cast.audience.length
    const person = cast.audience[place]!
    const name = `${person.username}’s device ${nth + 1}`
    const chance = random.next()
    if (chance < 0.35) start(person, name, 'inbox', [inboxOf(person, name)])
    else if (chance < 0.5) {
      const own = await ownFieldsOf(person, place)
      start(person, name, 'own', [messagesOf(person, name, cast.general, ownSelection, own)])
    } else {
      const open = cast.channels.filter((channel) => channel.members.includes(person))
      const chosen = [...new Set([random.pick(open), random.chance(0.3) ? random.pick(open) : cast.general])]
      start(person, name, 'messages', chosen.map((channel) => messagesOf(person, name, channel, random.pick(selections))))
    }
  }
  return { devices, messages, inboxes }
}

/** Somebody who comes in the midst of it all: takes a page of what is there, and goes on from it. */
export async function joinLate(stage: Stage, cast: Cast, audience: Audience, selection: Selection, nth: number, random: Random) {
  const { chronicle, ledger } = stage
  const person = random.pick(cast.audience)
  const channel = random.pick(cast.channels.filter(({ members, hasComers }) => !hasComers && members.includes(person)))
  const query = `query($id: ID!) {
    channel(id: $id) { cursor messages(last: 50) { edges { node { ${selection.text} } } } }
  }`
  const { channel: found } = await stage.ask(person, query, { id: channel.id })
  const name = `newcomer ${nth}, as ${person.username}`
  const listener = listenToMessages({
    chronicle,
    name,
    channel: ledger.channel(channel.id),
    userId: person.id,
    selection,
    cursor: found.cursor,
    page: found.messages.edges.map(({ node }: any) => node),
  })
  audience.messages.push(listener)
  audience.devices.push(startDevice({ name, token: person.token, listeners: [listener], random }, stage))
}
