import type { ScheduledMessagesService } from '../server/domain/scheduled-messages.ts'
import type { JobHandlers } from '../server/jobs/jobs.ts'

/** Send what was scheduled, when its time has come, and in slow mode its turn. */
export const createScheduledMessageJobs = (
  service: ScheduledMessagesService,
): Pick<JobHandlers, 'scheduled-message' | 'scheduled-turn'> => ({
  'scheduled-message': (data) => service.sendDue(data),
  'scheduled-turn': (data) => service.sendNext(data),
})
