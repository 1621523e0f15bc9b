import type { MessageLink } from '../server/domain/short-links.ts'
import type { InviteRow } from '../server/domain/invites.ts'
import { builder, ofViewer } from './builder.ts'
import { readMessageId } from './ids.ts'
import { inviteType } from './invites.ts'
import { messageType } from './types.ts'
import { requireViewer } from './viewer.ts'

const messageLink = builder.objectRef<MessageLink>('MessageLink').implement({
  description: 'The link of a message. Only those whom it leads somewhere learn more than that it is a link.',
  fields: (t) => ({
    code: t.exposeString('code', { description: 'What `shortLink` is asked with. Capitals matter.' }),
    url: t.field({
      description: 'An address to hand on.',
      type: 'URL',
      resolve: ({ code }, _, { services }) => services.shortLinks.url('MESSAGE', code),
    }),
    message: t.field({ description: 'What it leads to.', type: messageType, resolve: ({ message }) => message }),
    visits: t.int({
      description: 'How often it was opened in a browser (programs do not count), within a few seconds of now.',
      resolve: ({ code }, _, { loaders }) => loaders.visits.load(code),
    }),
  }),
})

const shortLink = builder.unionType('ShortLink', {
  description: 'What a short link stands for.',
  types: [inviteType, messageLink],
  resolveType: (target: InviteRow | MessageLink) => ('message' in target ? messageLink : inviteType),
})

builder.queryFields((t) => ({
  shortLink: t.field({
    ...ofViewer,
    description: 'What a code stands for. Null where it is none, or leads to what the viewer may not see.',
    type: shortLink,
    nullable: true,
    args: { code: t.arg.string({ description: 'The last part of a short address.', required: true }) },
    resolve: async (_, { code }, { services, viewer }) => {
      const link = await services.shortLinks.find(code)
      const target = link && (await services.shortLinks.follow(viewer?.userId ?? null, link))
      if (target === null) return null
      return target.kind === 'INVITE' ? target.invite : target
    },
  }),
}))

builder.mutationFields((t) => ({
  createMessageLink: t.field({
    description: 'The link of a message that the viewer may read; it is made by whoever asks first, and stays the same.',
    type: messageLink,
    args: { messageId: t.arg.id({ description: 'The message.', required: true }) },
    resolve: (_, { messageId }, context) =>
      context.services.shortLinks.ofMessage(requireViewer(context), readMessageId(messageId, 'messageId')),
  }),
}))
