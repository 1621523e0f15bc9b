import type { LinkPreviewRow } from '../server/domain/link-previews.ts'
import { builder } from './builder.ts'
import { readMessageId } from './ids.ts'
import { messagePayload } from './messages.ts'
import { messageType } from './types.ts'
import { requireViewer } from './viewer.ts'

const linkPreviewType = builder.objectRef<LinkPreviewRow>('LinkPreview').implement({
  description: 'What stands behind a link.',
  fields: (t) => ({
    url: t.field({
      description: 'The link, as a browser spells it.',
      type: 'URL',
      resolve: (preview) => preview.url,
    }),
    title: t.exposeString('title', { nullable: true, description: 'Of the page.' }),
    description: t.exposeString('description', { nullable: true, description: 'What the page says of itself.' }),
    imageUrl: t.field({
      description: 'A small picture, kept by this server, so that whoever made the page does not learn who sees it.',
      type: 'URL',
      nullable: true,
      resolve: (preview, _, { services }) => services.linkPreviews.imageUrl(preview),
    }),
    imageWidth: t.exposeInt('imageWidth', { nullable: true, description: 'In pixels.' }),
    imageHeight: t.exposeInt('imageHeight', { nullable: true, description: 'In pixels.' }),
    siteName: t.exposeString('siteName', { nullable: true, description: 'Whose page it is.' }),
  }),
})

builder.objectField(messageType, 'linkPreviews', (t) =>
  t.field({
    description: 'What its first links lead to, in their order. They come in a moment after the message.',
    type: [linkPreviewType],
    resolve: (message, _, { loaders }) => {
      // A preview that comes in is a change of the message: where there was none, there is nothing.
      const isUntouched = message.version === message.change
      if (isUntouched || message.deletedAt !== null) return []
      return loaders.linkPreviews.load({ channelId: message.channelId, messageId: message.id })
    },
  }),
)

builder.mutationFields((t) => ({
  removeLinkPreview: t.field({
    description:
      'Takes the preview of one link away, or all of the message’s, for good. Its author may, and who keeps order.',
    type: messagePayload,
    args: { messageId: t.arg.id({ required: true }), url: t.arg({ type: 'URL' }) },
    resolve: (_, { messageId, url }, context) =>
      context.services.linkPreviews.remove(requireViewer(context), readMessageId(messageId, 'messageId'), url ?? null),
  }),
}))
