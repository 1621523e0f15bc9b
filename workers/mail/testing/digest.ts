import { pino } from 'pino'
import { createMailer } from '../../../server/lib/mail.ts'
import { userIdOf } from '../../../server/testing/devices.ts'
import type { Person, TestApp } from '../../../server/testing/test-app.ts'
import { createEmailDigestJob, type EmailDigestOptions } from '../email-digest.ts'
import type { TestSmtpServer } from './smtp-server.ts'

export const secret = 'the same for all replicas of a test'
export const publicUrl = 'https://chat.example.org'

/** A log that keeps its lines. */
export function keptLog() {
  const lines: string[] = []
  return { lines, log: pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) }) }
}

/** The job, on a server of a test. */
export function openDigest(
  app: TestApp,
  server: Pick<TestSmtpServer, 'url'>,
  options: Partial<EmailDigestOptions> & { timeoutMs?: number } = {},
) {
  const { timeoutMs = 10_000 } = options
  const mailer = createMailer({ url: server.url, from: 'Maru <chat@example.org>', timeoutMs })
  const { lines, log } = keptLog()
  const putOff: Date[] = []
  const job = createEmailDigestJob({
    database: app.app.database,
    mailer,
    publicUrl: () => publicUrl,
    secret,
    log,
    isConnected: () => Promise.resolve(false),
    putOff: async (_, until) => void putOff.push(until),
    ...options,
  })
  return { lines, putOff, run: (person: Person) => job({ userId: userIdOf(person) }), close: () => mailer.close() }
}

/** Gives somebody an address that is confirmed, and makes them have been away for so many hours. */
export async function sendAway(
  app: TestApp,
  person: Person,
  { hours = 13, email = `${person.username}@example.org` }: { hours?: number | null; email?: string } = {},
): Promise<void> {
  const userId = userIdOf(person)
  await app.app.database.run(
    `insert into settings (user_id, email, email_verified_at) values ($1, $2, now())
     on conflict (user_id) do update
     set email = $2, email_verified_at = excluded.email_verified_at, email_when_away = true, mailed_at = null`,
    [userId, email],
  )
  const ago = hours === null ? null : new Date(Date.now() - hours * 3_600_000)
  await app.app.database.run(`update users set last_active_at = $2 where id = $1`, [userId, ago])
}
