import {
  AddMembersDocument,
  AddReactionDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  MarkReadDocument,
  MarkUnreadDocument,
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

const emoji = ['👍', '❤️', '🪵', '🇰🇷']

/**
 * People who do at random what people do, each on a replica chosen anew for each thing, until `isOver`. Resolves with
 * how often what was done, and how often it was refused.
 */
export async function converse({ people, replicas, channels, random }: Conversation, isOver: () => boolean) {
  const done: Record<string, number> = {}
  /** Messages that were sent, to be edited, deleted and answered. */
  const sent: { id: string; channelId: string; author: Person; seq: number }[] = []
  const clients = new Map(people.map((person) => [person, replicas.map((replica) => replica.client(person.token))]))

  async function act(person: Person): Promise<string> {
    const client = random.pick(clients.get(person)!)
    const { id: channelId, isOpen } = random.pick(channels)
    const message = sent.length === 0 ? null : random.pick(sent.slice(-40))
    const other = random.pick(people)
    const dice = random.below(100)
    if (dice < 35 || message === null) {
      const { sendMessage } = await client.request(SendMessageDocument, {
        input: {
          channelId,
          content: `${random.below(1e6)} @${other.username}`,
          ...(message?.channelId === channelId && random.chance(0.4) ? { replyToId: message.id } : {}),
        },
      })
      sent.push({ id: sendMessage.message.id, channelId, author: person, seq: sendMessage.message.seq })
      return 'send'
    }
    const messageId = message.id
    if (dice < 48) {
      const own = random.pick(sent.filter((one) => one.author === person).slice(-20)) ?? message
      const input = { messageId: own.id, content: `edited ${random.below(1e6)}` }
      await client.request(EditMessageDocument, { input })
      return 'edit'
    }
    if (dice < 52) return (await client.request(DeleteMessageDocument, { messageId }), 'delete')
    if (dice < 62) return (await client.request(AddReactionDocument, { messageId, emoji: random.pick(emoji) }), 'react')
    if (dice < 66) return (await client.request(RemoveReactionDocument, { messageId, emoji: random.pick(emoji) }), 'unreact')
    if (dice < 69) return (await client.request(PinMessageDocument, { messageId }), 'pin')
    if (dice < 71) return (await client.request(UnpinMessageDocument, { messageId }), 'unpin')
    if (dice < 76) return (await client.request(MarkReadDocument, { channelId, seq: message.seq }), 'read')
    if (dice < 78) return (await client.request(MarkUnreadDocument, { channelId, fromSeq: message.seq }), 'unread')
    if (dice < 82) {
      const content = random.chance(0.3) ? null : `draft ${random.below(1e6)}`
      return (await client.request(SaveDraftDocument, { channelId, content }), 'draft')
    }
    if (dice < 85) {
      const input = { channelId, level: random.pick(['ALL', 'MENTIONS', 'NONE'] as const) }
      return (await client.request(SetChannelNotificationsDocument, { input }), 'notifications')
    }
    if (dice < 89) {
      const input = { channelId, ...(random.chance(0.5) ? { name: `name ${random.below(1e6)}` } : { topic: `topic ${random.below(1e6)}` }) }
      return (await client.request(UpdateChannelDocument, { input }), 'rename')
    }
    if (!isOpen) return 'nothing'
    if (dice < 91) return (await client.request(LeaveChannelDocument, { channelId }), 'leave')
    if (dice < 94) return (await client.request(JoinChannelDocument, { channelId }), 'join')
    if (dice < 96) return (await client.request(AddMembersDocument, { channelId, userIds: [other.id] }), 'add')
    if (dice < 98) return (await client.request(RemoveMemberDocument, { channelId, userId: other.id }), 'remove')
    return (await client.request(SetMemberRoleDocument, { channelId, userId: other.id, role: random.pick(['ADMIN', 'MEMBER'] as const) }), 'role')
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
