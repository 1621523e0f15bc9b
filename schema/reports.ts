import type { AttachmentRow } from '../server/domain/attachments-rows.ts'
import type { ReportRow } from '../server/domain/reports.ts'
import { badInput } from '../server/errors.ts'
import { channelGlobalId, messageGlobalId, parseGlobalId, reportGlobalId } from '../server/lib/global-id.ts'
import { snowflakeTime } from '../server/message-store/snowflake.ts'
import { attachmentType } from './attachments.ts'
import { builder, ofViewer } from './builder.ts'
import { connectionOf, decodePlace, decodeSnowflake, encodePlace, forwardPage, pageSize } from './connections.ts'
import { readChannelId, readMessageId, readUserId } from './ids.ts'
import { channelType, userType } from './types.ts'
import { findVisibleChannel, requireViewer } from './viewer.ts'

const reportStatus = builder.enumType('ReportStatus', {
  description: 'How far a report has come.',
  values: {
    OPEN: { description: 'Nobody has decided on it.' },
    DISMISSED: { description: 'Nothing is wrong with it.' },
    ACTION_TAKEN: { description: 'Something was done about it.' },
  } as const,
})

export const resolution = builder.enumType('ReportResolution', {
  description: 'What can be decided on a report.',
  values: {
    DISMISSED: { description: 'Nothing is wrong with it.' },
    ACTION_TAKEN: { description: 'Something was done about it: the audit log tells what.' },
  } as const,
})

const reportType = builder.objectRef<ReportRow>('Report')

reportType.implement({
  description: 'What somebody has reported. Those who keep order see it, and never whom it is about.',
  fields: (t) => ({
    id: t.id({ description: 'For `resolveReport`.', resolve: ({ id }) => reportGlobalId(id) }),
    reporter: t.field({
      description: 'Who has reported it.',
      type: userType,
      resolve: async ({ reporterId }, _, { loaders }) => (await loaders.user.load(reporterId))!,
    }),
    subject: t.field({
      description: 'Whom it is about: the author of the message.',
      type: userType,
      resolve: async ({ subjectId }, _, { loaders }) => (await loaders.user.load(subjectId))!,
    }),
    channelId: t.id({
      description: 'Of the message; null where a person was reported as such.',
      nullable: true,
      resolve: ({ channelId }) => (channelId === null ? null : channelGlobalId(channelId)),
    }),
    channel: t.field({
      ...ofViewer,
      description: 'Null where the viewer may not see it, as somebody else’s DIRECT channel.',
      type: channelType,
      nullable: true,
      resolve: ({ channelId }, _, context) => (channelId === null ? null : findVisibleChannel(context, channelId)),
    }),
    messageId: t.id({
      description: 'Null where a person was reported as such.',
      nullable: true,
      resolve: ({ channelId, messageId }) =>
        channelId === null || messageId === null ? null : messageGlobalId(channelId, messageId),
    }),
    reason: t.string({ description: 'In the words of who reported it.', resolve: ({ reason }, _, { spend }) => spend(reason) }),
    content: t.string({
      description:
        'What the message said when it was reported, whatever became of it. Null where a person was reported as such, ' +
        'and 90 days after the report was resolved.',
      nullable: true,
      resolve: ({ content }, _, { spend }) => (content === null ? null : spend(content)),
    }),
    attachments: t.field({
      description: 'The files of the message that are still there.',
      type: [attachmentType],
      resolve: async ({ subjectId, attachmentIds }, _, { loaders }) => {
        const rows = await Promise.all(
          (attachmentIds ?? []).map((id) => loaders.attachment.load({ userId: subjectId, id })),
        )
        return rows.filter((row): row is AttachmentRow => row !== null)
      },
    }),
    createdAt: t.field({ description: 'When it was reported.', type: 'DateTime', resolve: ({ id }) => snowflakeTime(id) }),
    status: t.field({ description: 'Whether it is decided on.', type: reportStatus, resolve: ({ status }) => status }),
    resolvedBy: t.field({
      description: 'Who has decided.',
      type: userType,
      nullable: true,
      resolve: ({ resolvedBy }, _, { loaders }) => (resolvedBy === null ? null : loaders.user.load(resolvedBy)),
    }),
    resolvedAt: t.field({ description: 'When.', type: 'DateTime', nullable: true, resolve: ({ resolvedAt }) => resolvedAt }),
    note: t.string({ description: 'What they noted.', nullable: true, resolve: ({ note }, _, { spend }) => (note === null ? null : spend(note)) }),
  }),
})

const reportConnection = connectionOf(reportType)

/** Reads the id of a report that a client gave at `id`; throws BAD_USER_INPUT where it is none. */
function readReportId(id: string): string {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Report') throw badInput('This is not the id of a report.', 'id')
  return parsed.reportId
}

builder.queryFields((t) => ({
  viewerIsModerator: t.boolean({
    ...ofViewer,
    description: 'Whether the viewer sees and decides on the reports of all channels; the operator says who does.',
    resolve: (_, __, context) => context.services.reports.isModerator(requireViewer(context)),
  }),
  reports: t.field({
    ...ofViewer,
    description:
      'What was reported, the latest first: in one channel, for its owners and admins; without `channelId` everywhere, ' +
      'for moderators of the deployment. Without `status`, resolved ones too.',
    type: reportConnection,
    args: {
      channelId: t.arg.id(),
      status: t.arg({ type: reportStatus }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_, { channelId, status, first, after }, context) => {
      const viewerId = requireViewer(context)
      const size = pageSize(first)
      const place = decodePlace(after, 1, 'after')
      const rows = await context.services.reports.list(
        viewerId,
        channelId == null ? null : readChannelId(channelId, 'channelId'),
        status ?? null,
        size + 1,
        place && decodeSnowflake(place[0]!, 'after'),
      )
      return forwardPage(rows, size, after, ({ id }) => encodePlace(id))
    },
  }),
}))

builder.mutationFields((t) => ({
  reportMessage: t.boolean({
    description:
      'Tells those who keep order of a message that somebody else has written. They see what it says now and who has ' +
      'reported it; its author is told nothing. Doing so again while the report is open changes nothing.',
    args: {
      messageId: t.arg.id({ required: true, description: 'One that the viewer may read.' }),
      reason: t.arg.string({ required: true, description: '1 to 1,000 characters.' }),
    },
    resolve: async (_, { messageId, reason }, context) => {
      const viewerId = requireViewer(context)
      await context.services.reports.addMessage(viewerId, readMessageId(messageId, 'messageId'), reason)
      return true
    },
  }),
  reportUser: t.boolean({
    description: 'Tells the moderators of the deployment of somebody, who is told nothing.',
    args: {
      userId: t.arg.id({ required: true }),
      reason: t.arg.string({ required: true, description: '1 to 1,000 characters.' }),
    },
    resolve: async (_, { userId, reason }, context) => {
      await context.services.reports.addUser(requireViewer(context), readUserId(userId, 'userId'), reason)
      return true
    },
  }),
  resolveReport: t.field({
    description:
      'Says what was decided, which the audit log notes. The same once more changes nothing; another decision is a ' +
      'CONFLICT.',
    type: reportType,
    args: {
      id: t.arg.id({ required: true }),
      resolution: t.arg({ type: resolution, required: true }),
      note: t.arg.string({ description: 'For those who keep order; up to 1,000 characters.' }),
    },
    resolve: (_, { id, resolution, note }, context) =>
      context.services.reports.resolve(requireViewer(context), readReportId(id), resolution, note ?? null),
  }),
  deleteReportedMessage: t.field({
    description:
      'Empties the message that was reported, in a channel that the viewer is not in, too; the audit log tells of it. The ' +
      'report stays open until it is resolved.',
    type: reportType,
    args: {
      id: t.arg.id({ required: true, description: 'Of the report.' }),
      reason: t.arg.string({
        description: 'For the audit log, where the author of the message does not see it; up to 1,000 characters.',
      }),
    },
    resolve: (_, { id, reason }, context) =>
      context.services.reports.deleteMessage(requireViewer(context), readReportId(id), reason ?? null),
  }),
}))
