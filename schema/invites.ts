import { type InviteRow, type InviteUseRow, isGood, managesInvite } from '../server/domain/invites.ts'
import { may } from '../server/domain/permissions.ts'
import type { ChannelRow } from '../server/message-store/rows.ts'
import { builder, ofViewer } from './builder.ts'
import { channelPayload } from './channels.ts'
import {
  connectionOf,
  decodeNumber,
  decodePlace,
  decodeSnowflake,
  encodePlace,
  forwardPage,
  pageSize,
} from './connections.ts'
import type { Context } from './context.ts'
import { readChannelId } from './ids.ts'
import { channelType, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

const inviteUse = builder.objectRef<InviteUseRow>('InviteUse')
export const inviteType = builder.objectRef<InviteRow>('Invite')

inviteUse.implement({
  description: 'Somebody who came by an invite.',
  fields: (t) => ({
    user: t.field({
      description: 'Who came. They may have gone since.',
      type: userType,
      resolve: async ({ userId }, _, { loaders }) => (await loaders.user.load(userId))!,
    }),
    joinedAt: t.field({ description: 'When they came.', type: 'DateTime', resolve: ({ joinedAt }) => joinedAt }),
  }),
})

const inviteUseConnection = connectionOf(inviteUse)

/** Whether the viewer may know what has become of an invite. */
const manages = async ({ viewer, own }: Context, invite: InviteRow): Promise<boolean> =>
  viewer !== null && managesInvite(await own.membership.load(invite.channelId), invite)

/** A channel as an invite shows it to those who are not there yet: what it is, and nothing of what goes on in it. */
const asInvited = (channel: ChannelRow): ChannelRow => ({ ...channel, firstSeq: 0, lastSeq: 0, lastChange: 0 })

inviteType.implement({
  description:
    'What lets those into a channel who know its code. It is good as long as whoever made it stays there and may bring ' +
    'people in, until it expires, is used up or is taken back.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'What `joinByInvite` is called with. Capitals matter.' }),
    url: t.field({
      description: 'An address to hand out: a page that shows where it leads, for those without the app, too.',
      type: 'URL',
      resolve: ({ code }, _, { services }) => services.shortLinks.url('INVITE', code),
    }),
    channel: t.field({
      ...ofViewer,
      description:
        'Where it leads. Who may not see that channel is shown its name, topic and size, and not what goes on there.',
      type: channelType,
      resolve: async ({ channelId }, _, { viewer, own, loaders }) => {
        const [channel, member] = await Promise.all([
          loaders.channel.load(channelId),
          viewer === null ? null : own.membership.load(channelId),
        ])
        return may(member?.role ?? 'NONE', 'see', channel!.kind) ? channel! : asInvited(channel!)
      },
    }),
    createdBy: t.field({
      description: 'Who invites.',
      type: userType,
      resolve: async ({ createdBy }, _, { loaders }) => (await loaders.user.load(createdBy))!,
    }),
    createdAt: t.field({ description: 'When it was made.', type: 'DateTime', resolve: ({ createdAt }) => createdAt }),
    expiresAt: t.field({
      description: 'Until when it is good; null for no such time.',
      type: 'DateTime',
      nullable: true,
      resolve: ({ expiresAt }) => expiresAt,
    }),
    revokedAt: t.field({
      description: 'When it was taken back; null where it was not.',
      type: 'DateTime',
      nullable: true,
      resolve: ({ revokedAt }) => revokedAt,
    }),
    maxUses: t.exposeInt('maxUses', { description: 'How often it can be used; null for any number.', nullable: true }),
    usesLeft: t.int({
      description: 'How often it can still be used; null for any number.',
      nullable: true,
      resolve: ({ maxUses, uses }) => (maxUses === null ? null : maxUses - uses),
    }),
    good: t.boolean({
      description: 'Whether one can join by it now.',
      resolve: async (invite, _, { loaders }) => {
        const { channelId, createdBy } = invite
        const [channel, maker] = await Promise.all([
          loaders.channel.load(channelId),
          loaders.membership.load({ channelId, userId: createdBy }),
        ])
        return isGood(invite, maker, channel!.kind)
      },
    }),
    uses: t.int({
      ...ofViewer,
      description: 'How often somebody came by it. Null to all but its maker and those who keep order in the channel.',
      nullable: true,
      resolve: async (invite, _, context) => ((await manages(context, invite)) ? invite.uses : null),
    }),
    visits: t.int({
      ...ofViewer,
      description: 'How often its page was opened in a browser (programs do not count), within a few seconds of now. Null to the same people as `uses`.',
      nullable: true,
      resolve: async (invite, _, context) =>
        (await manages(context, invite)) ? context.loaders.visits.load(invite.code) : null,
    }),
    joined: t.field({
      ...ofViewer,
      description:
        'Who came by it, the latest first; who has come again stands there again. Null to the same people as `uses`.',
      type: inviteUseConnection,
      nullable: true,
      args: {
        first: t.arg.int({ description: 'How many, from the latest on.' }),
        after: t.arg.string({ description: 'The cursor after which the page begins.' }),
      },
      resolve: async (invite, { first, after }, context) => {
        const size = pageSize(first)
        const beforeNth = decodeNumber(after, 'after')
        if (!(await manages(context, invite))) return null
        const { channelId, id: inviteId } = invite
        const rows = await context.loaders.inviteUses.load({ channelId, inviteId, first: size + 1, beforeNth })
        return forwardPage(rows, size, after, ({ nth }) => encodePlace(nth))
      },
    }),
  }),
})

const inviteConnection = connectionOf(inviteType)

const createInviteInput = builder.inputType('CreateInviteInput', {
  description: 'What an invite is made with.',
  fields: (t) => ({
    channelId: t.id({ description: 'Where it leads.', required: true }),
    maxUses: t.int({ description: 'How often it can be used, from 1 to 10,000; null for any number.' }),
    expiresAt: t.field({
      description: 'Until when it is good, at most a year ahead; null for no such time.',
      type: 'DateTime',
    }),
  }),
})

builder.queryFields((t) => ({
  invite: t.field({
    description:
      'An invite that one can join by now, for everybody who has its code, signed in or not. Null where there is none, ' +
      'or it is no longer good: that looks the same.',
    type: inviteType,
    nullable: true,
    args: { code: t.arg.string({ description: 'The last part of its address.', required: true }) },
    resolve: async (_, { code }, { services }) => {
      const link = await services.shortLinks.find(code)
      if (link?.kind !== 'INVITE') return null
      return (await services.invites.findGood(link.channelId, link.targetId))?.invite ?? null
    },
  }),
  invites: t.field({
    ...ofViewer,
    description:
      'The invites to a channel, good or not, the latest first: all of them for its owners and admins, for other members ' +
      'their own.',
    type: inviteConnection,
    args: {
      channelId: t.arg.id({ description: 'Where they lead.', required: true }),
      first: t.arg.int({ description: 'How many, from the latest on.' }),
      after: t.arg.string({ description: 'The cursor after which the page begins.' }),
    },
    resolve: async (_, { channelId, first, after }, context) => {
      const viewerId = requireViewer(context)
      const size = pageSize(first)
      const place = decodePlace(after, 1, 'after')
      const beforeId = place === null ? null : decodeSnowflake(place[0]!, 'after')
      const id = readChannelId(channelId, 'channelId')
      const rows = await context.services.invites.list(viewerId, id, size + 1, beforeId)
      return forwardPage(rows, size, after, (invite) => encodePlace(invite.id))
    },
  }),
}))

builder.mutationFields((t) => ({
  createInvite: t.field({
    description:
      'Makes an invite, as those may who may add members. Each member can have 100 that are good to the same channel.',
    type: inviteType,
    args: {
      input: t.arg({ description: 'Where it leads, and for how long.', type: createInviteInput, required: true }),
    },
    resolve: (_, { input }, context) =>
      context.services.invites.create(requireViewer(context), {
        ...input,
        channelId: readChannelId(input.channelId, 'input.channelId'),
      }),
  }),
  revokeInvite: t.field({
    description:
      'Takes an invite back, of the viewer’s own or in a channel that they keep in order: nobody comes by it any ' +
      'more. Doing so again changes nothing.',
    type: inviteType,
    args: { code: t.arg.string({ description: 'The invite’s.', required: true }) },
    resolve: (_, { code }, context) => context.services.invites.revoke(requireViewer(context), code),
  }),
  joinByInvite: t.field({
    description:
      'Joins the channel that an invite leads to. For who is there already nothing happens, and nothing is used. ' +
      'NOT_FOUND where it is no longer good, CONFLICT where it is used up or the group is full.',
    type: channelPayload,
    args: { code: t.arg.string({ description: 'The invite’s.', required: true }) },
    resolve: async (_, { code }, context) => ({
      channelId: await context.services.invites.join(requireViewer(context), code),
    }),
  }),
}))
