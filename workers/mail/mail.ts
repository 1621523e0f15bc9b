import type { Config } from '../../server/config.ts'
import type { Core } from '../../server/core.ts'
import { createMailer } from '../../server/lib/mail.ts'
import type { Log } from '../../server/observability/log.ts'
import { addresseesOf, defaultAwayTimes, dueAt, dueForDigest } from './away.ts'
import { createEmailDigestJob } from './email-digest.ts'
import { createEmailVerificationJob } from './email-verification.ts'

type ToUser = (data: { userId: string }) => Promise<void>

/** The mails of this deployment. Where it sends none, the jobs do nothing, and the rest is null. */
export type MailJobs = {
  digest: ToUser
  verification: ToUser
  /** Who of these is to have a mail now. */
  due: ((userIds: readonly string[]) => Promise<string[]>) | null
  /** When each of these is to have a mail; who wants none is left out. */
  dueTimes: ((userIds: readonly string[]) => Promise<Map<string, Date>>) | null
  close(): void
}

export type MailJobsOptions = {
  core: Pick<Core, 'database' | 'services' | 'publicUrl'>
  config: Config
  /** What signs access tokens. */
  secret: string
  log: Log
}

const nothing: ToUser = () => Promise.resolve()

/** Makes the jobs that send mail. Nothing is connected before the first one. */
export function createMail({ core, config, secret, log }: MailJobsOptions): MailJobs {
  const { mail, mailAwayHours } = config
  if (mail === null) return { digest: nothing, verification: nothing, due: null, dueTimes: null, close() {} }
  const { database, services, publicUrl } = core
  const times = { ...defaultAwayTimes, awayMs: mailAwayHours * 60 * 60_000 }
  const mailer = createMailer(mail)
  const common = { database, mailer, publicUrl, secret, log }
  return {
    digest: createEmailDigestJob({
      ...common,
      ...times,
      isConnected: async (userId) => (await services.presence.look([userId])).get(userId)!.status !== 'OFFLINE',
    }),
    verification: createEmailVerificationJob(common),
    due: (userIds) => dueForDigest(database, userIds, times),
    dueTimes: async (userIds) => {
      const addressees = await addresseesOf(database, userIds)
      return new Map(addressees.map((addressee) => [addressee.userId, dueAt(addressee, times)]))
    },
    close: () => mailer.close(),
  }
}
