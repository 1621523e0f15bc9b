import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'
import { type Cast, type Channel, pickWeighted, readTalk } from './cast.ts'
import { ask, Away, Refused } from './client.ts'
import type { Replica } from './replicas.ts'
import type { Person, Stage } from './stage.ts'

/** A message that was acknowledged. */
export type Said = { id: string; author: Person; channel: Channel }

/** What is said of a message when it is changed. */
const changed = '{ message { id version content } }'
const sendQuery = `mutation($input: SendMessageInput!) { sendMessage(input: $input) ${changed} }`
const editQuery = `mutation($input: EditMessageInput!) { editMessage(input: $input) ${changed} }`
const emoji = ['👍', '❤️', '🪵', '🇰🇷', '😂']

/** What people do besides sending, by how often. `own` is a message of the person's, `other` anybody's. */
type Scene = { person: Person; channel: Channel; own: Said; other: Said; random: Random; nth: string }
const acts: { weight: number; query: string; variables(scene: Scene): object }[] = [
  act(10, 'addReaction(emoji: $emoji, messageId: $id)', '$emoji: String!, $id: ID!', ({ other, random }) => ({ emoji: random.pick(emoji), id: other.id })),
  act(4, 'removeReaction(emoji: $emoji, messageId: $id)', '$emoji: String!, $id: ID!', ({ other, random }) => ({ emoji: random.pick(emoji), id: other.id })),
  act(3, 'pinMessage(messageId: $id)', '$id: ID!', ({ other }) => ({ id: other.id })),
  act(2, 'unpinMessage(messageId: $id)', '$id: ID!', ({ other }) => ({ id: other.id })),
  act(3, 'deleteMessage(messageId: $id)', '$id: ID!', ({ own }) => ({ id: own.id })),
]

function act(weight: number, field: string, parameters: string, variables: (scene: Scene) => object) {
  return { weight, query: `mutation(${parameters}) { ${field} ${changed} }`, variables }
}

/** What they do to channels, and to what is their own. */
const channelActs: { weight: number; query: string; variables(scene: Scene): object }[] = [
  ofChannel(5, 'markRead(channelId: $id, seq: $seq)', '$id: ID!, $seq: Int!', ({ channel, random }) => ({ id: channel.id, seq: random.below(5_000) })),
  ofChannel(2, 'saveDraft(channelId: $id, content: $text)', '$id: ID!, $text: String', ({ channel, nth, random }) => ({ id: channel.id, text: random.chance(0.3) ? null : `draft ${nth}` })),
  ofChannel(1, 'updateChannel(input: $input)', '$input: UpdateChannelInput!', ({ channel, nth, random }) => ({ input: { channelId: channel.id, [random.chance(0.5) ? 'name' : 'topic']: `${nth} 이야기` } })),
  ofChannel(1, 'setChannelNotifications(input: $input)', '$input: ChannelNotificationsInput!', ({ channel, random }) => ({ input: { channelId: channel.id, level: random.pick(['ALL', 'MENTIONS', 'NONE']) } })),
]

function ofChannel(weight: number, field: string, parameters: string, variables: (scene: Scene) => object) {
  return { weight, query: `mutation(${parameters}) { ${field} { channel { id } } }`, variables }
}

/** May be refused: the message has been deleted, or the role does not allow it. */
const refusals = new Set(['FORBIDDEN', 'CONFLICT', 'NOT_FOUND', 'BAD_USER_INPUT'])

/** Messages that somebody may still think of. */
const remembered = 150

export type Senders = ReturnType<typeof createSenders>

/** Those who write. */
export function createSenders(stage: Stage, cast: Cast) {
  const { chronicle, ledger } = stage
  const talk = readTalk()
  const said: Said[] = []
  let keys = 0

  /** Sends on one replica after the other until it is acknowledged; gives the message's id, or null where it is over. */
  async function send(
    person: Person,
    channel: Channel,
    random: Random,
    replyToId: string | null = null,
    only: Replica | null = null,
  ): Promise<string | null> {
    const key = `key-${++keys}`
    const mention = random.chance(0.1) ? ` @${random.pick(cast.writers).username}` : ''
    const input = { channelId: channel.id, content: `${key} ${random.pick(talk)}${mention}`, idempotencyKey: key, replyToId }
    const begun = chronicle.now()
    let attempts = 0
    const attempt = async () => {
      const { sendMessage } = await ask((only ?? stage.pickReplica(random)).url, person.token, sendQuery, { input })
      const { id, version } = sendMessage.message
      const known = ledger.channel(channel.id)
      known.acknowledge(key, id)
      const place = known.place(id)
      known.made(version, place, begun)
      // Of a send that was tried once, and just now, this is the change that has created it.
      if (attempts === 1) known.created[place] = version
      return id as string
    }
    const insistently = async (): Promise<string | null> => {
      while (!chronicle.over.aborted) {
        attempts++
        try {
          return await attempt()
        } catch (error) {
          if (!(error instanceof Away)) throw error
          chronicle.count('sends of unknown outcome')
          await sleep(50 + random.below(250))
        }
      }
      return null
    }
    // Now and then a client sends twice, at once.
    const twins = only === null && random.chance(0.05) ? [insistently(), insistently()] : [insistently()]
    const [id] = await Promise.all(twins)
    if (id == null) return null
    chronicle.count('sends acknowledged')
    said.push({ id, author: person, channel })
    if (said.length > 2 * remembered) said.splice(0, remembered)
    return id
  }

  async function edit(own: Said, random: Random, on = stage.pickReplica(random)): Promise<void> {
    const begun = chronicle.now()
    const input = { messageId: own.id, content: `edit-${++keys} ${random.pick(talk)}` }
    const { editMessage } = await ask(on.url, own.author.token, editQuery, { input })
    const { id, version } = editMessage.message
    const known = ledger.channel(own.channel.id)
    known.made(version, known.place(id), begun)
  }

  async function actOnce(person: Person, random: Random): Promise<void> {
    const open = cast.channels.filter((channel) => channel.members.includes(person))
    const channel = pickWeighted(open, random)
    const here = said.filter((one) => one.channel === channel)
    const mine = here.filter((one) => one.author === person)
    const chance = random.next()
    if (here.length === 0 || mine.length === 0 || chance < 0.5) return void (await send(person, channel, random, null))
    const [own, other] = [random.pick(mine.slice(-20)), random.pick(here.slice(-30))]
    if (chance < 0.6) return void (await send(person, channel, random, other.id))
    if (chance < 0.72) return edit(own, random)
    const { query, variables } = pickWeighted(chance < 0.93 ? acts : channelActs, random)
    const scene = { person, channel, own, other, random, nth: String(++keys) }
    await ask(stage.pickReplica(random).url, person.token, query, variables(scene))
  }

  return {
    send,
    edit,

    /** Does one thing after the other until it is over. */
    async write(person: Person, random: Random, isOver: () => boolean, mostMs: number): Promise<void> {
      while (!isOver()) {
        await sleep(random.below(mostMs))
        try {
          await actOnce(person, random)
          chronicle.count('acts')
        } catch (error) {
          if (chronicle.over.aborted) return
          if (error instanceof Away) chronicle.count('acts of unknown outcome')
          else if (error instanceof Refused && refusals.has(error.code)) chronicle.count(`acts refused with ${error.code}`)
          else chronicle.find('answer', person.username, String(error))
        }
      }
    },
  }
}
