import type { Config } from '../../server/config.ts'
import type { Core } from '../../server/core.ts'
import { createMailer } from '../../server/lib/mail.ts'
import type { Log } from '../../server/observability/log.ts'
import { defaultAwayTimes, digestTimes } from './away.ts'
import { createEmailDigestJob } from './email-digest.ts'
import { createEmailVerificationJob } from './email-verification.ts'

type ToUser = (data: { userId: string }) => Promise<void>

/** The mails of this deployment. Where it sends none, the jobs do nothing, and the rest is null. */
export type MailJobs = {
  digest: ToUser
  verification: ToUser
  /** When each of these is to have a mail; who wants none, or is there, is left out. */
  dueTimes: ((userIds: readonly string[]) => Promise<Map<string, Date>>) | null
  close(): void
}

export type MailJobsOptions = {
  core: Pick<Core, 'database' | 'services' | 'publicUrl' | 'jobs'>
  config: Config
  /** What signs access tokens. */
  secret: string
  log: Log
}

const nothing: ToUser = () => Promise.resolve()

/** Makes the jobs that send mail. Nothing is connected before the first one. */
export function createMail({ core, config, secret, log }: MailJobsOptions): MailJobs {
  const { mail, mailAwayHours } = config
  if (mail === null) return { digest: nothing, verification: nothing, dueTimes: null, close() {} }
  const { database, services, publicUrl, jobs } = core
  const times = { ...defaultAwayTimes, awayMs: mailAwayHours * 60 * 60_000 }
  const mailer = createMailer(mail)
  const common = { database, mailer, publicUrl, secret, log }
  return {
    digest: createEmailDigestJob({
      ...common,
      ...times,
      isConnected: async (id) => (await connectedOf([id])).has(id),
      putOff: (userId, startAfter) =>
        database.transaction((tx) => jobs.add(tx, [{ kind: 'email-digest', data: { userId }, key: userId, startAfter }])),
    }),
    verification: createEmailVerificationJob(common),
    dueTimes: (userIds) => digestTimes(database, userIds, connectedOf, times),
    close: () => mailer.close(),
  }

  /** Those of these users who are there. Who hides is taken for away. */
  async function connectedOf(userIds: readonly string[]): Promise<Set<string>> {
    const seen = await services.presence.look(userIds)
    return new Set(userIds.filter((userId) => seen.get(userId)!.status !== 'OFFLINE'))
  }
}
