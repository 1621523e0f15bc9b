import type { RemindersService } from '../server/domain/reminders.ts'
import type { JobHandler } from '../server/jobs/jobs.ts'

/** Reminds people, when the time has come. */
export const createReminderJob =
  (service: RemindersService): JobHandler<'reminder'> =>
  (data) =>
    service.remindDue(data)
