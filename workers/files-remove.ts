import type { AttachmentsService } from '../server/domain/attachments.ts'
import type { Files } from '../server/files/files.ts'
import type { JobHandler } from '../server/jobs/jobs.ts'

/** The job that removes files which nothing refers to any more. Removing them again does no harm. */
export const createFilesRemoveJob =
  ({ attachments, files }: {
    attachments: Pick<AttachmentsService, 'remove'>
    files: Pick<Files, 'remove'>
  }): JobHandler<'files-remove'> =>
  (data) => ('keys' in data ? files.remove(data.keys) : attachments.remove(data.userId, data.attachmentIds))
