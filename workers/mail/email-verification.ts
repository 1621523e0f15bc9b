import type { Database } from '../../drizzle/connection.ts'
import { settingsOf } from '../../server/domain/settings.ts'
import { type Mailer, MailError } from '../../server/lib/mail.ts'
import { createMailLinks } from '../../server/lib/mail-links.ts'
import type { Log } from '../../server/observability/log.ts'
import { render } from './render.ts'
import { textsFor } from './texts/texts.ts'

export type EmailVerificationOptions = {
  database: Database
  mailer: Mailer
  /** Where people reach the server, for the link. */
  publicUrl: () => string
  /** What signs access tokens; the links' key is derived from it. */
  secret: string
  log: Log
}

/**
 * Makes the job that asks the owner of an address whether it is theirs: the address that the user has set by now,
 * unless it is confirmed. Somebody waits for this mail: where it may not have been taken it is sent again, and where it was
 * lost on the way they ask once more.
 */
export function createEmailVerificationJob(
  options: EmailVerificationOptions,
): (data: { userId: string }) => Promise<void> {
  const { database, mailer, log } = options
  const links = createMailLinks(options)
  return async ({ userId }) => {
    const settings = (await settingsOf(database, [userId])).get(userId)!
    if (settings.email === null || settings.emailVerified) return
    const username = '/* username */ select username from users where id = $1'
    const [user] = await database.run<{ username: string }>(username, [userId])
    if (user === undefined) return
    const texts = textsFor(settings.locale)
    const { verify } = texts
    // The username and nothing else that a user can write: whoever gets this has not asked for it.
    const letter = {
      name: user.username,
      sections: [{ text: verify.body }],
      button: { label: verify.button, url: await links.verifyUrl(userId, settings.email) },
      footer: [{ text: verify.ignore }],
    }
    try {
      await mailer.send({
        to: settings.email,
        subject: verify.subject,
        ...render(letter, texts),
        headers: { 'Auto-Submitted': 'auto-generated' },
      })
    } catch (error) {
      const outcome = error instanceof MailError ? error.outcome : 'unknown'
      log.warn({ userId, outcome, err: error }, 'the question about an address was not taken')
      if (outcome === 'later' || outcome === 'unknown') throw error
    }
  }
}
