import type { AttachmentFailure, AttachmentRow, Thumbnail } from '../server/domain/attachments-rows.ts'
import { thumbnailsOf } from '../server/domain/attachments-rows.ts'
import type { UploadTarget } from '../server/domain/attachments.ts'
import { attachmentGlobalId } from '../server/lib/global-id.ts'
import { builder } from './builder.ts'
import { readAttachmentId } from './ids.ts'
import { nodeType } from './nodes.ts'
import { messageType } from './types.ts'
import { requireViewer } from './viewer.ts'

const attachmentStatus = builder.enumType('AttachmentStatus', {
  description: 'How far a file has come.',
  values: {
    PENDING: { description: 'To be put where its upload target says, and then completed.' },
    PROCESSING: { description: 'Complete; what is shown of it is being made. It can be sent already.' },
    READY: { description: 'Whatever is made of it is there.' },
    FAILED: { description: 'Nothing can be made of it: `failure` says why.' },
  } as const,
})

const attachmentFailure = builder.enumType('AttachmentFailure', {
  description: 'Why nothing can be made of a file.',
  values: {
    UNSUPPORTED: { description: 'A kind of picture, video or sound that is not known here.' },
    DISGUISED: { description: 'Something else than it was said to be.' },
    BROKEN: { description: 'It cannot be read to its end.' },
    TOO_LARGE: { description: 'More pixels than can be dealt with.' },
    TIMED_OUT: { description: 'It takes too long.' },
  } satisfies Record<AttachmentFailure, object>,
})

const thumbnailType = builder.objectRef<Thumbnail>('Thumbnail').implement({
  description: 'A picture’s smaller form, or one moment of a video.',
  fields: (t) => ({
    url: t.field({
      description: 'A signed address, as the attachment’s.',
      type: 'URL',
      resolve: async (thumbnail, _, { services }) => (await services.attachments.thumbnailAddress(thumbnail)).url,
    }),
    width: t.exposeInt('width', { description: 'In pixels.' }),
    height: t.exposeInt('height', { description: 'In pixels.' }),
    contentType: t.exposeString('contentType', { description: 'WebP or JPEG: take the first that can be shown.' }),
  }),
})

export const attachmentType = builder.objectRef<AttachmentRow>('Attachment').implement({
  description: 'A file that somebody has brought.',
  interfaces: [nodeType],
  fields: (t) => ({
    id: t.id({ resolve: ({ userId, id }) => attachmentGlobalId(userId, id) }),
    filename: t.exposeString('filename', { description: 'As its owner called it.' }),
    contentType: t.exposeString('contentType', { description: 'What it was said to be, and is once it is READY.' }),
    byteSize: t.exposeInt('byteSize', { description: 'Bytes.' }),
    status: t.field({ description: 'How far it has come.', type: attachmentStatus, resolve: ({ status }) => status }),
    failure: t.field({
      description: 'Why it is FAILED; null unless it is.',
      type: attachmentFailure,
      nullable: true,
      resolve: ({ failure }) => failure,
    }),
    url: t.field({
      description:
        'A signed address, the same for a while so that caches work; null until the file is READY. Pictures, videos and ' +
        'sounds are shown there, and anything else is saved.',
      type: 'URL',
      nullable: true,
      resolve: async (attachment, _, { services }) => (await services.attachments.address(attachment))?.url,
    }),
    urlExpiresAt: t.field({
      description: 'An hour from now at the least, and so long thumbnails’ addresses are good, too. Then ask again.',
      type: 'DateTime',
      nullable: true,
      resolve: async (attachment, _, { services }) => (await services.attachments.address(attachment))?.expiresAt,
    }),
    width: t.exposeInt('width', { description: 'In pixels, of pictures and videos, as they are shown.', nullable: true }),
    height: t.exposeInt('height', { description: 'In pixels.', nullable: true }),
    placeholder: t.exposeString('placeholder', {
      description: 'A ThumbHash, base64, to draw while the picture loads.',
      nullable: true,
    }),
    durationMs: t.exposeInt('durationMs', { description: 'Of videos and sounds, where it is known.', nullable: true }),
    waveform: t.exposeString('waveform', {
      description: 'Of sounds: 64 peaks, a byte each, the loudest 255, base64.',
      nullable: true,
    }),
    thumbnails: t.field({
      description: 'Smallest first, each in more than one format.',
      type: [thumbnailType],
      resolve: thumbnailsOf,
    }),
  }),
})

builder.objectField(messageType, 'attachments', (t) =>
  t.field({
    description: 'In the order in which the author put them.',
    type: [attachmentType],
    resolve: async ({ authorId, attachmentIds, deletedAt }, _, { loaders }) => {
      // A build that knew of no attachments leaves them where it deletes a message.
      if (deletedAt !== null) return []
      const rows = await Promise.all(attachmentIds.map((id) => loaders.attachment.load({ userId: authorId, id })))
      return rows.filter((row) => row !== null)
    },
  }),
)

const uploadHeader = builder.objectRef<{ name: string; value: string }>('UploadHeader').implement({
  description: 'A header of the request that brings a file.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Such as `Content-Type`.' }),
    value: t.exposeString('value', { description: 'To be sent as it is: it is signed.' }),
  }),
})

const uploadTarget = builder.objectRef<UploadTarget>('UploadTarget').implement({
  description: 'Where a file is put: by exactly this request, with exactly as many bytes as were announced.',
  fields: (t) => ({
    attachment: t.field({ description: 'What it will be, PENDING.', type: attachmentType, resolve: ({ attachment }) => attachment }),
    method: t.exposeString('method', { description: 'PUT.' }),
    url: t.field({ description: 'Whole, and signed.', type: 'URL', resolve: ({ url }) => url }),
    headers: t.field({
      description: 'To be sent with it. Browsers set `Content-Length` themselves.',
      type: [uploadHeader],
      resolve: ({ headers }) => headers,
    }),
    expiresAt: t.field({
      description: 'Until when it can be begun.',
      type: 'DateTime',
      resolve: ({ expiresAt }) => expiresAt,
    }),
  }),
})

const createUploadInput = builder.inputType('CreateUploadInput', {
  description: 'A file that is to come.',
  fields: (t) => ({
    filename: t.string({ required: true, description: 'As it is to be shown and saved.' }),
    contentType: t.string({ required: true, description: 'Such as `image/jpeg`; what the file holds must be that.' }),
    byteSize: t.int({ required: true, description: 'Exactly as many bytes will be taken.' }),
  }),
})

builder.mutationFields((t) => ({
  createUpload: t.field({
    description: 'Says where a file may be put. Then `completeUpload`, and send a message with it.',
    type: uploadTarget,
    args: { input: t.arg({ type: createUploadInput, required: true }) },
    resolve: (_, { input }, context) => context.services.attachments.createUpload(requireViewer(context), input),
  }),
  completeUpload: t.field({
    description:
      'Takes over what was put there. Calling it again changes nothing. A file that is not what it was said to be ends as FAILED.',
    type: attachmentType,
    args: { attachmentId: t.arg.id({ required: true }) },
    resolve: (_, { attachmentId }, context) =>
      context.services.attachments.completeUpload(
        requireViewer(context),
        readAttachmentId(attachmentId, 'attachmentId'),
      ),
  }),
}))
