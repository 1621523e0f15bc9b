import type { Database } from '../../drizzle/connection.ts'
import { settingsOf } from '../../server/domain/settings.ts'
import { type Mailer, MailError } from '../../server/lib/mail.ts'
import { createMailLinks } from '../../server/lib/mail-links.ts'
import type { Log } from '../../server/observability/log.ts'
import { addresseesOf, type Addressee, type AwayTimes, defaultAwayTimes, dueAt } from './away.ts'
import { type Letter, render } from './render.ts'
import { type MailTexts, textsFor } from './texts/texts.ts'
import { type UnreadConversation, unreadOf } from './unread.ts'

export type EmailDigestOptions = Partial<AwayTimes> & {
  database: Database
  mailer: Mailer
  /** Where people reach the server, for the links. */
  publicUrl: () => string
  /** Where they reach the app; the server, where nobody says. */
  appUrl?: string
  /** What signs access tokens; the links' key is derived from it. */
  secret: string
  log: Log
  /** Whether somebody has a socket open on some replica. */
  isConnected(userId: string): Promise<boolean>
  /** Has it looked at again later. */
  putOff(userId: string, until: Date): Promise<void>
}

/** Conversations that a mail names one by one. */
const maxNamed = 10

/**
 * Makes the job that writes to somebody who is away for long about what they have not read. Whether it is so is looked
 * at again as it runs. Each mail is sent at most once: its time is written before it is handed over, and taken back
 * only where it surely was not taken. Then the job throws, to be tried again. Somebody whose mailbox is no more is not
 * written to again before they confirm an address.
 */
export function createEmailDigestJob(options: EmailDigestOptions): (data: { userId: string }) => Promise<void> {
  const { database, mailer, publicUrl, log } = options
  const { awayMs = defaultAwayTimes.awayMs, everyMs = defaultAwayTimes.everyMs } = options
  const times: AwayTimes = { awayMs, everyMs }
  const links = createMailLinks({ secret: options.secret, publicUrl })

  return async ({ userId }) => {
    const [addressee] = await addresseesOf(database, [userId])
    if (addressee === undefined) return
    const now = new Date()
    const due = (await options.isConnected(userId)) ? new Date(+now + awayMs) : dueAt(addressee, times)
    if (due > now) {
      // This job may have stood for later ones, which were about something that came since.
      const left = await unreadOf(database, userId, { shows: false, olderThan: null })
      if (left.length > 0) await options.putOff(userId, due)
      return
    }
    const settings = (await settingsOf(database, [userId])).get(userId)!
    const conversations = await unreadOf(database, userId, {
      shows: settings.pushPreviews,
      // Who hides may have been there a moment ago: what they had no time to read is not yet worth a mail.
      olderThan: addressee.isHidden ? new Date(Date.now() - times.awayMs) : null,
    })
    if (conversations.length === 0) return
    const texts = textsFor(settings.locale)
    const unsubscribe = await links.unsubscribeUrl(userId, addressee.email)
    const urls = { open: options.appUrl ?? publicUrl(), unsubscribe }
    const unread = conversations.reduce((sum, conversation) => sum + conversation.unread, 0)
    // Who wants no previews is told of no names and no places either, as by pushes.
    const shown = settings.pushPreviews ? conversations : []
    const subject = texts.digest.subject(unread, conversations.length)
    const letter = compose(await nameOf(userId), { subject, shown }, texts, urls)
    const claimed = await claim(addressee)
    if (claimed === null) return
    try {
      await mailer.send({
        to: addressee.email,
        subject,
        ...render(letter, texts),
        headers: {
          // RFC 8058, and RFC 3834 so that nobody's absence answers.
          'List-Unsubscribe': `<${unsubscribe}>`,
          'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
          'Auto-Submitted': 'auto-generated',
        },
      })
      log.info({ userId, conversations: conversations.length, unread }, 'mail to somebody who is away')
    } catch (error) {
      const outcome = error instanceof MailError ? error.outcome : 'unknown'
      log.warn({ userId, outcome, err: error }, 'mail to somebody who is away was not taken')
      if (outcome === 'address') await distrust(addressee)
      if (outcome !== 'later') return
      await giveBack(addressee, claimed)
      throw error
    }
  }

  async function nameOf(userId: string): Promise<string> {
    const statement = '/* name */ select display_name as name from users where id = $1'
    const [user] = await database.run<{ name: string }>(statement, [userId])
    return user!.name
  }

  /** Writes that a mail goes out now, unless another has since, or is no longer wanted; returns what was written. */
  async function claim({ userId, email }: Addressee): Promise<Date | null> {
    const now = new Date()
    const claimed = await database.run(
      `/* claim of a mail */ update settings set mailed_at = $3
       where user_id = $1 and email = $2 and email_verified_at is not null and email_when_away
         and (mailed_at is null or mailed_at <= $4)
       returning user_id`,
      [userId, email, now, new Date(now.getTime() - times.everyMs)],
    )
    return claimed.length === 0 ? null : now
  }

  async function giveBack({ userId, mailedAt }: Addressee, claimed: Date): Promise<void> {
    await database.run(
      `/* no mail after all */ update settings set mailed_at = $2 where user_id = $1 and mailed_at = $3`,
      [userId, mailedAt, claimed],
    )
  }

  async function distrust({ userId, email }: Addressee): Promise<void> {
    await database.run(
      `/* no such mailbox */ update settings set email_verified_at = null where user_id = $1 and email = $2`,
      [userId, email],
    )
  }
}

/** The letter about these conversations. */
function compose(
  name: string,
  { subject, shown }: { subject: string; shown: readonly UnreadConversation[] },
  texts: MailTexts,
  urls: { open: string; unsubscribe: string },
): Letter {
  const { digest } = texts
  const more = shown.length - maxNamed
  return {
    name,
    sections: [
      { text: digest.intro },
      ...(shown.length === 0 ? [{ text: subject }] : []),
      ...shown.slice(0, maxNamed).map(({ name: given, level, unread, lines }) => ({
        heading: digest[level === 'MENTIONS' ? 'mentions' : 'conversation'](given ?? texts.unnamed, unread),
        lines: lines.map(({ author, isAction, excerpt }) => {
          const said = excerpt ?? texts.attachment
          return isAction ? `* ${author} ${said}` : `${author}: ${said}`
        }),
      })),
      ...(more > 0 ? [{ text: digest.more(more) }] : []),
    ],
    button: { label: digest.button, url: urls.open },
    footer: [{ text: digest.reason }, { text: digest.unsubscribe, url: urls.unsubscribe }],
  }
}
