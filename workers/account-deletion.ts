import type { Database } from '../drizzle/connection.ts'
import type { AccountDeletionService } from '../server/domain/account-deletion.ts'
import type { AccountMessagesService } from '../server/domain/account-deletion-messages.ts'
import type { JobHandlers } from '../server/jobs/jobs.ts'

/** Takes apart what is left of deleted accounts. `maintenance` is a database whose statements may take long. */
export function createAccountDeletionJobs(
  services: { accountDeletion: AccountDeletionService; accountMessages: AccountMessagesService },
  maintenance: Database,
): Pick<JobHandlers, 'account-deletion' | 'account-messages'> {
  return {
    'account-deletion': (data, { signal, retries }) => services.accountDeletion.finish(data, maintenance, signal, retries),
    'account-messages': (data, { signal }) => services.accountMessages.remove(data, maintenance, signal),
  }
}
