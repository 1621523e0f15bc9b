import type { ScheduledMessagesService } from '../server/domain/scheduled-messages.ts'
import type { JobHandler } from '../server/jobs/jobs.ts'

/** Sends what was scheduled, when its time has come. */
export const createScheduledMessageJob =
  (service: ScheduledMessagesService): JobHandler<'scheduled-message'> =>
  (data) =>
    service.sendDue(data)
