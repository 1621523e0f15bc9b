import { and, asc, desc, eq, isNull, ne, sql } from 'drizzle-orm'
import type { Transaction } from '../../drizzle/connection.ts'
import { channels, directChannels, members } from '../../drizzle/tables/index.ts'
import { badInput, forbidden, notFound } from '../errors.ts'
import { isOneOf } from '../lib/sql.ts'
import { checkName, checkNormalised } from '../lib/text.ts'
import { lockedChannel } from '../message-store/channel-lock.ts'
import type { ChannelRow } from '../message-store/rows.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import { touchAccounts } from './accounts.ts'
import { tellAdded } from './activities-writing.ts'
import { findDirect, isEitherBlocked, lockPair, orderedPair, whoBlocks } from './blocks.ts'
import type { Deps } from './deps.ts'
import { filterContent } from './moderation-filter.ts'
import { addNameKeys, changeNameKeys, publicChannel } from './name-keys.ts'
import { whoExists } from './users.ts'

export type CreateChannelInput = {
  kind: ChannelRow['kind']
  name?: string | null
  topic?: string | null
  memberIds?: readonly string[] | null
}

export type ChannelsService = ReturnType<typeof createChannelsService>

const maxNameLength = 80
const maxTopicLength = 1_000

/** People who may be named when a channel is made; more are added afterwards. */
const maxFirstMembers = 1_000

const checkChannelName = (name: string) => checkName(name, 'A name', 'input.name', maxNameLength)

const checkTopic = (topic: string) => checkNormalised(topic, 'A topic', 'input.topic', maxTopicLength)

/** What a name is searched for, as names are stored; throws BAD_USER_INPUT. */
const checkQuery = (query: string) =>
  query.trim() === '' ? '' : checkNormalised(query.trim(), 'A query', 'query', maxNameLength)

/** Channels: made, found and renamed. */
export function createChannelsService({ database, store, snowflakes, announce, jobs, limits, filter }: Deps) {
  const { orm } = database

  /** A name or a topic as it is stored; throws BAD_USER_INPUT where it cannot be, or the deployment's filter refuses it. */
  async function checkedName(authorId: string, channelId: string | null, given: string): Promise<string> {
    const content = checkChannelName(given)
    return checkChannelName(await filterContent(filter, { kind: 'CHANNEL_NAME', authorId, channelId, content }, 'input.name'))
  }

  async function checkedTopic(authorId: string, channelId: string | null, given: string): Promise<string> {
    const content = checkTopic(given)
    return checkTopic(await filterContent(filter, { kind: 'CHANNEL_TOPIC', authorId, channelId, content }, 'input.topic'))
  }

  async function checkPeople(ids: readonly string[], field: string) {
    if (ids.length === 0) return
    const found = await whoExists(orm, ids)
    if (found.size !== new Set(ids).size) throw notFound('user', field)
  }

  /** Makes a channel with its first members, the first of whom owns it, within a transaction. */
  async function insert(tx: Transaction, row: Pick<ChannelRow, 'id' | 'kind' | 'name' | 'topic'>, people: string[]) {
    const [created] = await tx.orm
      .insert(channels)
      .values({ ...row, createdAt: new Date() })
      .returning()
    const locked = lockedChannel(tx, created!)
    const changes: number[] = []
    for (const [place, userId] of people.entries()) {
      const member = await locked.channel.admit(userId, place === 0 && row.kind !== 'DIRECT' ? 'OWNER' : 'MEMBER')
      changes.push(member.joinedChange)
    }
    // Who opens a DIRECT channel has brought nobody anywhere: it is heard of with the first message.
    if (row.kind !== 'DIRECT') {
      const [actorId, ...userIds] = people
      await tellAdded(tx, jobs, { channelId: row.id, actorId: actorId!, userIds, changes: changes.slice(1) })
    }
    const channel = await locked.save()
    if (row.kind === 'PUBLIC') await addNameKeys(tx, [publicChannel(channel)])
    const noted = await touchAccounts(tx.orm, people, 'MEMBERSHIP', row.id)
    return { channel, changes: locked.changes, noted }
  }

  function announceNew(made: Awaited<ReturnType<typeof insert>>): ChannelRow {
    announce.channel(made.changes)
    made.noted.forEach(announce.account)
    return made.channel
  }

  /**
   * The one channel of two people, made by whoever of them comes first; the input at `field` names the other one. Where
   * one has blocked the other none is made: FORBIDDEN, to both; one that is there is to be read on.
   */
  async function openDirect(viewerId: string, peerId: string, field = 'userId'): Promise<ChannelRow> {
    if (viewerId === peerId) throw badInput('A direct channel is between two people.', field)
    const [lowUserId, highUserId] = orderedPair(viewerId, peerId)
    const existing = async () => {
      const known = await findDirect(orm, viewerId, peerId)
      if (known === null) return undefined
      const [channel] = await orm.select().from(channels).where(eq(channels.id, known))
      return channel
    }
    const found = await existing()
    if (found !== undefined) return found
    await checkPeople([peerId], field)
    const made = await database.transaction(async (tx) => {
      const id = snowflakes.next()
      await lockPair(tx, viewerId, peerId)
      if (await isEitherBlocked(tx.orm, viewerId, peerId)) throw forbidden('This conversation cannot be opened.')
      // Of two who open it at once, one waits here for the other's commit, and then finds the place taken.
      const won = await tx.orm
        .insert(directChannels)
        .values({ lowUserId, highUserId, channelId: id })
        .onConflictDoNothing()
        .returning()
      return won.length === 0
        ? null
        : insert(tx, { id, kind: 'DIRECT', name: null, topic: null }, [lowUserId, highUserId])
    })
    return made === null ? (await existing())! : announceNew(made)
  }

  return {
    openDirect,

    /** Makes a channel; its maker owns it. A DIRECT one is opened instead, and must name one other person. */
    async create(viewerId: string, input: CreateChannelInput): Promise<ChannelRow> {
      const others = [...new Set(input.memberIds ?? [])].filter((id) => id !== viewerId)
      if (input.kind === 'DIRECT') {
        if (others.length !== 1) throw badInput('A direct channel names one other person.', 'input.memberIds')
        if (input.name != null) throw badInput('A direct channel has no name.', 'input.name')
        if (input.topic != null) throw badInput('A direct channel has no topic.', 'input.topic')
        return openDirect(viewerId, others[0]!, 'input.memberIds')
      }
      if (input.kind === 'PUBLIC' && input.name == null) throw badInput('A public channel has a name.', 'input.name')
      if (input.kind === 'GROUP' && others.length + 1 > limits.groupMembers) {
        throw badInput(`A group has at most ${limits.groupMembers} members.`, 'input.memberIds')
      }
      if (others.length > maxFirstMembers) {
        throw badInput(`At most ${maxFirstMembers} people at once; add the others afterwards.`, 'input.memberIds')
      }
      const name = input.name == null ? null : await checkedName(viewerId, null, input.name)
      const topic = input.topic == null ? null : await checkedTopic(viewerId, null, input.topic)
      await checkPeople(others, 'input.memberIds')
      if ((await whoBlocks(orm, others, viewerId)).size > 0) throw forbidden('You cannot add one of these people.')
      const row = { id: snowflakes.next(), kind: input.kind, name, topic }
      return announceNew(await database.transaction((tx) => insert(tx, row, [viewerId, ...others])))
    },

    /** Changes name or topic; an absent field keeps what is there, null clears it. The channel is told of it. */
    async update(
      viewerId: string,
      channelId: string,
      input: { name?: string | null | undefined; topic?: string | null | undefined },
    ): Promise<ChannelRow> {
      const { channel: before } = await accessChannel(orm, viewerId, channelId, 'update', 'input.channelId')
      if (input.name === null && before.kind === 'PUBLIC') throw badInput('A public channel has a name.', 'input.name')
      const set: { name?: string | null; topic?: string | null } = {}
      if (input.name !== undefined) {
        set.name = input.name === null ? null : await checkedName(viewerId, channelId, input.name)
      }
      if (input.topic !== undefined) {
        set.topic = input.topic === null ? null : await checkedTopic(viewerId, channelId, input.topic)
      }
      const done = await store.change(channelId, async (channel) => {
        await authoriseLocked(channel.tx.orm, channel.row, viewerId, 'update')
        const { name, topic } = { ...channel.row, ...set }
        if (name === channel.row.name && topic === channel.row.topic) return
        channel.setInfo(set)
        if (channel.row.kind === 'PUBLIC' && name !== channel.row.name) {
          await changeNameKeys(channel.tx, publicChannel({ ...channel.row, name }))
        }
        await channel.append('CHANNEL_UPDATED', viewerId, (name === channel.row.name ? topic : name) ?? '')
      })
      announce.channel(done!.changes)
      return this.get(channelId)
    },

    /** A channel, whoever asks; throws NOT_FOUND. */
    async get(channelId: string): Promise<ChannelRow> {
      const [row] = await orm.select().from(channels).where(eq(channels.id, channelId))
      if (row === undefined) throw notFound('channel', 'channelId')
      return row
    },

    /** These channels, whoever asks, in no order; those that do not exist are left out. */
    findMany: (ids: readonly string[]): Promise<ChannelRow[]> =>
      orm.select().from(channels).where(isOneOf(channels.id, ids)),

    /**
     * The viewer's channels, latest activity first, `first` of them after the one that `after` names (the time of its
     * latest activity as a Snowflake, and its id).
     */
    async listOwn(viewerId: string, first: number, after: { activity: string; id: string } | null) {
      // A channel in which nothing was said yet stands where it was made: its own id is a Snowflake too.
      const activity = sql<string>`greatest(${channels.lastId}, ${channels.id})`
      return orm
        .select({ channel: channels, activity })
        .from(members)
        .innerJoin(channels, eq(channels.id, members.channelId))
        .where(
          and(
            eq(members.userId, viewerId),
            isNull(members.leftAt),
            after === null ? undefined : sql`(${activity}, ${channels.id}) < (${after.activity}::bigint, ${after.id}::bigint)`,
          ),
        )
        .orderBy(desc(activity), desc(channels.id))
        .limit(first)
    },

    /** The other one of each DIRECT channel that the viewer is in, by channel id. */
    async directPeers(viewerId: string, channelIds: readonly string[]): Promise<Map<string, string>> {
      const rows = await orm
        .select({ channelId: members.channelId, userId: members.userId })
        .from(members)
        .innerJoin(channels, eq(channels.id, members.channelId))
        .where(
          and(
            isOneOf(members.channelId, channelIds),
            isOneOf(channels.id, channelIds),
            ne(members.userId, viewerId),
            eq(channels.kind, 'DIRECT'),
          ),
        )
      return new Map(rows.map((row) => [row.channelId, row.userId]))
    },

    /**
     * Public channels whose name contains `query`, whatever the case, by name: `first` of them after the one that
     * `after` names (its name as it was sorted, and its id).
     */
    async listPublic(
      query: string,
      first: number,
      after: { name: string; id: string } | null,
    ): Promise<{ channel: ChannelRow; sortName: string }[]> {
      // Small letters are made by the store alone, which has another idea of some than JavaScript.
      const name = sql<string>`lower(${channels.name})`
      const wanted = checkQuery(query).replaceAll(/[\\%_]/g, String.raw`\$&`)
      return orm
        .select({ channel: channels, sortName: name })
        .from(channels)
        .where(
          and(
            // No parameter: the index holds public channels alone, and a prepared plan must know that it may use it.
            sql`${channels.kind} = 'PUBLIC'`,
            wanted === '' ? undefined : sql`${name} like lower(${`%${wanted}%`})`,
            after === null ? undefined : sql`(${name}, ${channels.id}) > (${after.name}, ${after.id}::bigint)`,
          ),
        )
        .orderBy(asc(name), asc(channels.id))
        .limit(first)
    },
  }
}
