import type { ActivitiesService } from '../server/domain/activities.ts'
import type { JobHandler } from '../server/jobs/jobs.ts'

/** Notes what was done that is about others, and tells their inboxes. */
export const createActivityJob =
  (service: ActivitiesService): JobHandler<'activity'> =>
  (data) =>
    service.make(data)
