import type { AttachmentsService } from '../server/domain/attachments.ts'
import type { Files } from '../server/files/files.ts'
import type { JobHandler } from '../server/jobs/jobs.ts'

export type FilesRemoveOptions = { attachments: Pick<AttachmentsService, 'remove'>; files: Pick<Files, 'remove'> }

/** Removes files that nothing refers to any more: by their keys, or with the attachments that they belong to. */
export const createFilesRemoveJob =
  ({ attachments, files }: FilesRemoveOptions): JobHandler<'files-remove'> =>
  (data) =>
    'keys' in data ? files.remove(data.keys) : attachments.remove(data.userId, data.attachmentIds)
