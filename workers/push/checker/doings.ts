import { setTimeout as sleep } from 'node:timers/promises'
import {
  AddMembersDocument,
  BlockUserDocument,
  DeleteMessageDocument,
  LeaveChannelDocument,
  MarkReadDocument,
  MaruClientError,
  SendMessageDocument,
  SetActiveChannelDocument,
  SetChannelNotificationsDocument,
  SetPresenceDocument,
  UnblockUserDocument,
  UpdateSettingsDocument,
} from '../../../client-sdk/index.ts'
import type { Random } from '../../../server/testing/random.ts'
import { blockable, inAnHour, quietNow } from './cast.ts'
import type { Channel, Ledger, Level, Message, Person } from './ledger.ts'
import { createTimeline, type Timeline } from './timeline.ts'

const talk = ['Lunch at noon?', '점심 먹을래요? 🍜', 'The floor is yours', '마루에 앉아서 이야기해요', 'See you there', '네, 알겠습니다']

/** Does it until it is done, as clients do; what can be repeated without harm is all that is done here. */
export async function insist<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof MaruClientError) || !error.retryable) throw error
      await sleep(200)
    }
  }
}

/** Does it, insistently, and says when it was first asked for and when it was answered. */
async function timed<T>(work: () => Promise<T>, signal: AbortSignal) {
  const asked = Date.now()
  const result = await insist(work, signal)
  return { result, asked, answered: Date.now() }
}

export type Doings = ReturnType<typeof createDoings>

/** What people do, each of it noted in the ledger with its moments. */
export function createDoings(ledger: Ledger, signal: AbortSignal) {
  let keys = 0

  /** Changes what a timeline is about, and notes it. */
  async function change<T>(timeline: Timeline<T>, value: T, work: () => Promise<unknown>): Promise<void> {
    const { asked, answered } = await timed(work, signal)
    timeline.set(value, asked, answered)
  }

  /** Sends a message that mentions some of the channel's members; who sends has read everything. */
  async function send(author: Person, channel: Channel, random: Random): Promise<Message> {
    const named = random.chance(0.15) ? [random.pick(channel.members)] : []
    const names = named.map((person) => ` @${person.username}`).join('')
    const input = { channelId: channel.id, content: `${random.pick(talk)}${names}`, idempotencyKey: `key-${++keys}` }
    const work = () => author.client.request(SendMessageDocument, { input })
    const once = timed(work, signal)
    // Now and then a client sends twice, at once: that is one message.
    const again = random.chance(0.03) ? [insist(work, signal)] : []
    const [{ result, asked, answered }] = await Promise.all([once, ...again])
    const { seq, id } = result.sendMessage.message
    const message: Message = { channel, seq, id, author, named, asked, answered, deleted: createTimeline(false) }
    ledger.messages.push(message)
    author.places.get(channel)!.read.add(seq, asked, answered)
    return message
  }

  const remove = (message: Message): Promise<void> =>
    change(message.deleted, true, () => message.author.client.request(DeleteMessageDocument, { messageId: message.id }))

  async function markRead(person: Person, channel: Channel, seq: number): Promise<void> {
    const variables = { channelId: channel.id, seq }
    const { asked, answered } = await timed(() => person.client.request(MarkReadDocument, variables), signal)
    person.places.get(channel)!.read.add(seq, asked, answered)
  }

  /** Leaves, or is brought back by the owner. */
  async function comeOrGo(person: Person, channel: Channel): Promise<void> {
    const { member } = person.places.get(channel)!
    const channelId = channel.id
    if (member.now()) return change(member, false, () => person.client.request(LeaveChannelDocument, { channelId }))
    const input = { channelId, userIds: [person.id] }
    return change(member, true, () => channel.owner.client.request(AddMembersDocument, input))
  }

  function setNotifications(person: Person, channel: Channel, input: { level?: Level; mutedUntil?: string | null }) {
    return () => person.client.request(SetChannelNotificationsDocument, { input: { channelId: channel.id, ...input } })
  }

  async function show(person: Person, channel: Channel | null): Promise<void> {
    // What the first of the devices shows: it has the sign-in of the person.
    const { shows } = person.devices[0]!
    const variables = { channelId: channel?.id ?? null }
    await change(shows, channel, () => person.client.request(SetActiveChannelDocument, variables))
  }

  /** Changes one thing about how somebody wants to be told. */
  async function changeMind(person: Person, random: Random): Promise<void> {
    const channel = random.pick([...person.places.keys()])
    const place = person.places.get(channel)!
    const isIn = place.member.now()
    const newest = () => ledger.messages.findLast((message) => message.channel === channel)
    switch (random.below(9)) {
      case 0:
        // Most of the time they are in.
        return channel.kind === 'GROUP' && (!isIn || random.chance(0.3)) ? comeOrGo(person, channel) : undefined
      case 1: {
        if (!isIn) return
        const isMuted = !place.muted.now()
        const mutedUntil = isMuted ? inAnHour() : null
        return change(place.muted, isMuted, setNotifications(person, channel, { mutedUntil }))
      }
      case 2: {
        const level = random.pick(['ALL', 'ALL', 'MENTIONS', 'NONE'] as const)
        return isIn ? change(place.level, level, setNotifications(person, channel, { level })) : undefined
      }
      case 3: {
        const isQuiet = !person.quiet.now()
        const input = isQuiet ? quietNow() : { quietHoursStart: null, quietHoursEnd: null }
        return change(person.quiet, isQuiet, () => person.client.request(UpdateSettingsDocument, { input }))
      }
      case 4: {
        const isBusy = !person.busy.now()
        const status = isBusy ? 'DO_NOT_DISTURB' : 'ONLINE'
        return change(person.busy, isBusy, () => person.client.request(SetPresenceDocument, { status }))
      }
      case 5: {
        const writers = blockable(ledger, person)
        if (writers.length === 0) return
        const writer = random.pick(writers)
        const blocked = person.blocks.get(writer) ?? createTimeline(false)
        person.blocks.set(writer, blocked)
        const [isBlocked, variables] = [blocked.now(), { userId: writer.id }]
        return change(blocked, !isBlocked, async () => {
          if (isBlocked) await person.client.request(UnblockUserDocument, variables)
          else await person.client.request(BlockUserDocument, variables)
        })
      }
      case 6:
        // It holds for two minutes only, so it is taken back long before.
        if (!isIn) return
        await show(person, channel)
        await sleep(500 + random.below(4_000))
        return show(person, null)
      default: {
        const message = newest()
        return isIn && message !== undefined ? markRead(person, channel, message.seq) : undefined
      }
    }
  }

  return {
    send,
    remove,

    /** Changes somebody's mind again and again, until it is over. */
    async beRestless(person: Person, random: Random, isOver: () => boolean, mostMs: number): Promise<void> {
      while (!isOver()) {
        await sleep(random.below(mostMs))
        if (!isOver()) await changeMind(person, random)
      }
    },
  }
}
