import {
  AddMembersDocument,
  AddReactionDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  MarkReadDocument,
  MarkUnreadDocument,
  type MaruClient,
  MaruClientError,
  PinMessageDocument,
  RemoveMemberDocument,
  RemoveReactionDocument,
  SaveDraftDocument,
  SendMessageDocument,
  SetChannelNotificationsDocument,
  SetMemberRoleDocument,
  UnpinMessageDocument,
  UpdateChannelDocument,
} from '../../client-sdk/index.ts'
import type { Random } from './random.ts'
import type { Person, Replica } from './test-app.ts'

export type Conversation = {
  people: readonly Person[]
  replicas: readonly Replica[]
  /** Channels by id. Members of those that are not `open` stay as they are. */
  channels: readonly { id: string; isOpen: boolean }[]
  random: Random
}

/** What may be refused: somebody is not in the channel just now, or the message has been deleted. */
const refusals = new Set(['FORBIDDEN', 'NOT_FOUND', 'CONFLICT'])

const levels = ['ALL', 'MENTIONS', 'NONE'] as const
const roles = ['ADMIN', 'MEMBER'] as const
const emoji = ['👍', '❤️', '🪵', '🇰🇷']

type Sent = { id: string; channelId: string; author: Person; seq: number }

/** Who does something, through which client, where, and to what or whom. */
type Scene = {
  person: Person
  client: MaruClient
  channelId: string
  /** Somebody. */
  other: Person
  /** A message that was sent lately, and one of the person's own. */
  message: Sent
  own: Sent
  random: Random
}

const number = (random: Random) => random.below(1_000_000)

/** What people do, once there is a message: how often in comparison, and how. */
const acts: Record<string, [weight: number, act: (scene: Scene) => Promise<unknown>]> = {
  edit: [13, ({ client, own, random }) => client.request(EditMessageDocument, { input: { messageId: own.id, content: `edited ${number(random)}` } })],
  delete: [4, ({ client, own }) => client.request(DeleteMessageDocument, { messageId: own.id })],
  react: [10, ({ client, message, random }) => client.request(AddReactionDocument, { messageId: message.id, emoji: random.pick(emoji) })],
  unreact: [5, ({ client, message, random }) => client.request(RemoveReactionDocument, { messageId: message.id, emoji: random.pick(emoji) })],
  pin: [4, ({ client, message }) => client.request(PinMessageDocument, { messageId: message.id })],
  unpin: [2, ({ client, message }) => client.request(UnpinMessageDocument, { messageId: message.id })],
  read: [6, ({ client, channelId, message }) => client.request(MarkReadDocument, { channelId, seq: message.seq })],
  unread: [3, ({ client, channelId, message }) => client.request(MarkUnreadDocument, { channelId, fromSeq: message.seq })],
  draft: [5, ({ client, channelId, random }) => client.request(SaveDraftDocument, { channelId, content: random.chance(0.3) ? null : `draft ${number(random)}` })],
  notify: [3, ({ client, channelId, random }) => client.request(SetChannelNotificationsDocument, { input: { channelId, level: random.pick(levels) } })],
  rename: [4, ({ client, channelId, random }) => client.request(UpdateChannelDocument, { input: { channelId, name: `name ${number(random)}` } })],
  retopic: [4, ({ client, channelId, random }) => client.request(UpdateChannelDocument, { input: { channelId, topic: `topic ${number(random)}` } })],
}

/** What they do besides in channels that people come to and go from. */
const openActs: typeof acts = {
  ...acts,
  leave: [5, ({ client, channelId }) => client.request(LeaveChannelDocument, { channelId })],
  join: [8, ({ client, channelId }) => client.request(JoinChannelDocument, { channelId })],
  add: [4, ({ client, channelId, other }) => client.request(AddMembersDocument, { channelId, userIds: [other.id] })],
  remove: [4, ({ client, channelId, other }) => client.request(RemoveMemberDocument, { channelId, userId: other.id })],
  role: [3, ({ client, channelId, other, random }) => client.request(SetMemberRoleDocument, { channelId, userId: other.id, role: random.pick(roles) })],
}

/** One of the acts at random, by their weights. */
function choose(from: typeof acts, random: Random): string {
  let left = random.next() * Object.values(from).reduce((sum, [weight]) => sum + weight, 0)
  for (const [name, [weight]] of Object.entries(from)) {
    left -= weight
    if (left < 0) return name
  }
  throw new Error('No act')
}

/** How often somebody says something, rather than doing anything else. */
const sendShare = 0.35

/**
 * People who do at random what people do, each on a replica chosen anew for each thing, until `isOver`. Resolves with
 * how often what was done, and how often it was refused for which reason.
 */
export async function converse({ people, replicas, channels, random }: Conversation, isOver: () => boolean) {
  const done: Record<string, number> = {}
  const sent: Sent[] = []
  const clients = new Map(people.map((person) => [person, replicas.map((replica) => replica.client(person.token))]))

  async function send(person: Person, client: MaruClient, channelId: string) {
    const answered = sent.findLast((message) => message.channelId === channelId)
    const replyToId = answered !== undefined && random.chance(0.4) ? answered.id : null
    const input = { channelId, content: `${number(random)} @${random.pick(people).username}`, replyToId }
    const { id, seq } = (await client.request(SendMessageDocument, { input })).sendMessage.message
    sent.push({ id, channelId, author: person, seq })
  }

  async function act(person: Person): Promise<string> {
    const client = random.pick(clients.get(person)!)
    const { id: channelId, isOpen } = random.pick(channels)
    const own = sent.filter((message) => message.author === person).slice(-20)
    if (own.length === 0 || random.chance(sendShare)) {
      await send(person, client, channelId)
      return 'send'
    }
    const from = isOpen ? openActs : acts
    const what = choose(from, random)
    const scene = { person, client, channelId, random, other: random.pick(people), message: random.pick(sent.slice(-40)), own: random.pick(own) }
    await from[what]![1](scene)
    return what
  }

  await Promise.all(
    people.map(async (person) => {
      while (!isOver()) {
        const what = await act(person).catch((error: unknown) => {
          if (error instanceof MaruClientError && refusals.has(error.code)) return error.code
          throw error
        })
        done[what] = (done[what] ?? 0) + 1
      }
    }),
  )
  return done
}
