import type { DataExportRow } from '../server/domain/data-exports.ts'
import { builder, ofViewer } from './builder.ts'
import { requireViewer } from './viewer.ts'

const dataExportStatus = builder.enumType('DataExportStatus', {
  description: 'How far an export has come.',
  values: {
    PENDING: { description: 'Asked for, or to be tried once more.' },
    RUNNING: { description: 'Being made.' },
    READY: { description: 'To be fetched at its `url`.' },
    FAILED: { description: 'It could not be made, and can be asked for again after an hour.' },
    EXPIRED: { description: 'It was READY for a week, and is gone.' },
  } as const,
})

const dataExport = builder.objectRef<DataExportRow>('DataExport').implement({
  description:
    'What is stored of the viewer’s own account, as a ZIP: profile, settings, contacts, devices, channels, what they ' +
    'have written and uploaded. What others have written is not in it, nor invites, links, bans and audit logs. ' +
    '`README.txt` in it says what is what.',
  fields: (t) => ({
    status: t.field({ description: 'How far it has come.', type: dataExportStatus, resolve: ({ status }) => status }),
    createdAt: t.field({ description: 'When it was asked for.', type: 'DateTime', resolve: ({ createdAt }) => createdAt }),
    url: t.field({
      description:
        'Where it is downloaded, at a signed address that is good for an hour or two: whoever has it can, so do not keep ' +
        'it, and ask again. Null unless READY.',
      type: 'URL',
      nullable: true,
      resolve: async (row, _, { services }) => (await services.dataExports.address(row))?.url ?? null,
    }),
    expiresAt: t.field({
      description: 'Until when it is kept: a week. Null until it is READY.',
      type: 'DateTime',
      nullable: true,
      resolve: ({ expiresAt }) => expiresAt,
    }),
    byteSize: t.float({ description: 'Null until it is READY.', nullable: true, resolve: ({ byteSize }) => byteSize }),
  }),
})

builder.queryFields((t) => ({
  dataExports: t.field({
    ...ofViewer,
    description: 'What the viewer has asked for within two months, the latest first.',
    type: [dataExport],
    resolve: (_, __, context) => context.services.dataExports.list(requireViewer(context)),
  }),
}))

builder.mutationFields((t) => ({
  requestDataExport: t.field({
    description:
      'Asks for the viewer’s own data. It takes minutes, or hours where there is much; look at `dataExports` for ' +
      'it. While one is under way that one is given back; after it, the next can be asked for a day later: RATE_LIMITED.',
    type: dataExport,
    resolve: (_, __, context) => context.services.dataExports.request(requireViewer(context)),
  }),
}))
