import { type AuditDetail, type AuditView, noChannel } from '../server/domain/audit-log.ts'
import { channelGlobalId, messageGlobalId, reportGlobalId } from '../server/lib/global-id.ts'
import { builder, ofViewer } from './builder.ts'
import { connectionOf, decodePlace, decodeSnowflake, encodePlace, forwardPage, pageSize } from './connections.ts'
import { readChannelId } from './ids.ts'
import { resolution } from './reports.ts'
import { memberRole, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

const auditAction = builder.enumType('AuditAction', {
  description: 'What somebody who keeps order can have done.',
  values: {
    MEMBER_BANNED: { description: 'Kept out.' },
    MEMBER_UNBANNED: { description: 'May come in again.' },
    MEMBER_REMOVED: { description: 'Put out.' },
    ROLE_CHANGED: { description: 'Given another role.' },
    MEMBER_SILENCED: { description: 'Reads on, and may not write.' },
    SILENCE_ENDED: { description: 'Before its time; that it has run out is not told.' },
    SLOW_MODE_SET: { description: 'Slow mode was set, or ended.' },
    MESSAGE_DELETED: { description: 'By somebody else than its author.' },
    REPORT_RESOLVED: { description: 'A report was decided on.' },
    MODERATOR_ADDED: { description: 'By the operator, as are all that have no `actor`.' },
    MODERATOR_REMOVED: { description: 'Keeps order in the whole deployment no more.' },
  } as const,
})

const entryType = builder.objectRef<AuditView>('AuditEntry')

const detailOf = (entry: AuditView) => (entry.detail === null ? {} : JSON.parse(entry.detail)) as AuditDetail
const isOf = (channelId: string) => channelId !== noChannel

entryType.implement({
  description: 'What somebody who keeps order has done. It stands as it was written: nothing can change it.',
  fields: (t) => ({
    channelId: t.id({
      description: 'Null for what is about none.',
      nullable: true,
      resolve: ({ channelId }) => (isOf(channelId) ? channelGlobalId(channelId) : null),
    }),
    at: t.field({ description: 'When it was done.', type: 'DateTime', resolve: ({ at }) => at }),
    action: t.field({ description: 'What was done.', type: auditAction, resolve: ({ action }) => action }),
    actor: t.field({
      description: 'Who did it; null for the operator.',
      type: userType,
      nullable: true,
      resolve: ({ actorId }, _, { loaders }) => (actorId === null ? null : loaders.user.load(actorId)),
    }),
    subject: t.field({
      description: 'To whom it was done.',
      type: userType,
      nullable: true,
      resolve: ({ subjectId }, _, { loaders }) => (subjectId === null ? null : loaders.user.load(subjectId)),
    }),
    messageId: t.id({
      description: 'Which message it was about.',
      nullable: true,
      resolve: ({ channelId, messageId }) => (messageId === null ? null : messageGlobalId(channelId, messageId)),
    }),
    reportId: t.id({
      description: 'Never told to whom the report is about.',
      nullable: true,
      resolve: ({ reportId }) => (reportId === null ? null : reportGlobalId(reportId)),
    }),
    reason: t.string({ description: 'Why, as they have said.', nullable: true, resolve: ({ reason }, _, { spend }) => (reason === null ? null : spend(reason)) }),
    content: t.string({
      description: 'What a deleted message said, for 90 days.',
      nullable: true,
      resolve: ({ content }, _, { spend }) => (content === null ? null : spend(content)),
    }),
    until: t.field({
      description: 'Of a ban or a silence; null for good.',
      type: 'DateTime',
      nullable: true,
      resolve: (entry) => {
        const { until } = detailOf(entry)
        return until == null ? null : new Date(until)
      },
    }),
    roleBefore: t.field({ description: 'Of ROLE_CHANGED.', type: memberRole, nullable: true, resolve: (entry) => detailOf(entry).roleBefore ?? null }),
    role: t.field({ description: 'Of ROLE_CHANGED: the new one.', type: memberRole, nullable: true, resolve: (entry) => detailOf(entry).role ?? null }),
    seconds: t.int({
      description: 'Of slow mode; null where it was ended.',
      nullable: true,
      resolve: (entry) => detailOf(entry).seconds ?? null,
    }),
    resolution: t.field({ description: 'Of REPORT_RESOLVED.', type: resolution, nullable: true, resolve: (entry) => detailOf(entry).resolution ?? null }),
    hash: t.string({
      description:
        'SHA-256 of the entry and of the one before it in its channel, in hex: whoever keeps it can tell later whether ' +
        'anything up to here was changed.',
      resolve: ({ hash }) => Buffer.from(hash).toString('hex'),
    }),
  }),
})

const entryConnection = connectionOf(entryType)

builder.queryFields((t) => ({
  auditLog: t.field({
    ...ofViewer,
    description:
      'What those who keep order have done, the latest first: in one channel, for its owners and admins; without ' +
      '`channelId` everywhere, for moderators of the deployment. What came of a report is not shown to whom it is about.',
    type: entryConnection,
    args: { channelId: t.arg.id(), first: t.arg.int(), after: t.arg.string() },
    resolve: async (_, { channelId, first, after }, context) => {
      const viewerId = requireViewer(context)
      const size = pageSize(first)
      const place = decodePlace(after, 2, 'after')
      const rows = await context.services.auditLog.list(
        viewerId,
        channelId == null ? null : readChannelId(channelId, 'channelId'),
        size + 1,
        place && { id: decodeSnowflake(place[0]!, 'after'), channelId: decodeSnowflake(place[1]!, 'after') },
      )
      return forwardPage(rows, size, after, (entry) => encodePlace(entry.id, entry.channelId))
    },
  }),
}))
