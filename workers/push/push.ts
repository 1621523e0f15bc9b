import type { Core } from '../../server/core.ts'
import type { JobHandlers } from '../../server/jobs/jobs.ts'
import type { Log } from '../../server/observability/log.ts'
import type { Metrics } from '../../server/observability/metrics.ts'
import type { PushSender } from '../../server/push/push-sender.ts'
import { type BurstsOptions, createBursts } from './bursts.ts'
import { createDelivering } from './delivering.ts'
import { createNotices } from './notices.ts'
import { createPushMessages, type PushMessagesOptions } from './push-messages.ts'
import { createPushReminder } from './push-reminder.ts'
import { createPushSummary } from './push-summary.ts'
import { createWithdrawals } from './push-withdrawals.ts'

export type PushOptions = {
  core: Pick<Core, 'database' | 'jobs' | 'snowflakes'>
  sender: PushSender
  metrics: Metrics
  log: Log
} & Pick<PushMessagesOptions, 'mailTimes'> &
  Pick<BurstsOptions, 'perMinute'>

type PushHandlers = Pick<
  JobHandlers,
  'push' | 'push-part' | 'push-rest' | 'push-summary' | 'push-withdraw' | 'push-read' | 'push-badge' | 'push-reminder'
>

/** Everything that goes to devices, by kind of job; and what is done now and then, so that nothing stays behind. */
export function createPush({ core, sender, metrics, log, perMinute, mailTimes }: PushOptions) {
  const { database, jobs, snowflakes } = core
  const delivering = createDelivering({ database, sender, metrics, log })
  const notices = createNotices(database)
  const bursts = createBursts({ database, jobs, perMinute })
  const messages = createPushMessages({ database, jobs, delivering, notices, bursts, mailTimes })
  const withdrawals = createWithdrawals({ database, delivering, notices })
  const handlers: PushHandlers = {
    push: messages.all,
    'push-part': messages.part,
    'push-rest': messages.rest,
    'push-summary': createPushSummary({ database, snowflakes, delivering, notices }),
    'push-withdraw': withdrawals.deleted,
    'push-read': withdrawals.read,
    'push-badge': withdrawals.badge,
    'push-reminder': createPushReminder({ database, delivering, notices }),
  }
  return { handlers, revive: bursts.revive }
}
