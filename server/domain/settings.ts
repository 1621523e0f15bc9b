import { and, eq, isNull } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import type { Database, Transaction } from '../../drizzle/connection.ts'
import { settings } from '../../drizzle/tables/index.ts'
import { badInput, forbidden, MaruError } from '../errors.ts'
import { checkMailAddress, mailAddressKey } from '../lib/mail-address.ts'
import { isTimeZone, minutesOf } from '../lib/quiet-hours.ts'
import { isOneOf } from '../lib/sql.ts'
import type { Deps } from './deps.ts'

type SettingsRow = typeof settings.$inferSelect

/** What a user alone sees and sets, with what holds where nothing was said. */
export type Settings = Pick<
  SettingsRow,
  'userId' | 'quietHoursStart' | 'quietHoursEnd' | 'pushPreviews' | 'emailWhenAway' | 'email'
> & { locale: string; timeZone: string; emailVerified: boolean }

/** An absent field keeps what is there, and null clears it. */
export type SettingsInput = {
  locale?: string | null
  timeZone?: string | null
  quietHoursStart?: string | null
  quietHoursEnd?: string | null
  pushPreviews?: boolean | null
  emailWhenAway?: boolean | null
  email?: string | null
}

/** Asks the owner of a user's address whether it is theirs, once the transaction has committed. */
export type AskForVerification = (tx: Transaction, userId: string) => Promise<void>

export type SettingsService = ReturnType<typeof createSettingsService>

export const defaultLocale = 'en'
export const defaultTimeZone = 'UTC'

/** The longest tag that is of any use; RFC 5646 asks for 35. */
const maxLocale = 35
/** The longest name of the IANA's database has 32 characters. */
const maxTimeZone = 64

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

/**
 * Mails that ask for an answer, in a day: by one user, and to one address, whoever asks for them. Counted by each
 * replica for itself; between two of one user there is a minute on all of them.
 */
const asksOfUser = 5
const asksOfAddress = 10
/** Users and addresses that are counted at a time. */
const maxCounted = 20_000

const unset = (userId: string): SettingsRow => ({
  userId,
  locale: null,
  timeZone: null,
  quietHoursStart: null,
  quietHoursEnd: null,
  pushPreviews: true,
  emailWhenAway: true,
  email: null,
  emailVerifiedAt: null,
  mailedAt: null,
})

const toSettings = ({ userId, locale, timeZone, emailVerifiedAt, ...row }: SettingsRow): Settings => ({
  userId,
  locale: locale ?? defaultLocale,
  timeZone: timeZone ?? defaultTimeZone,
  quietHoursStart: row.quietHoursStart,
  quietHoursEnd: row.quietHoursEnd,
  pushPreviews: row.pushPreviews,
  emailWhenAway: row.emailWhenAway,
  email: row.email,
  emailVerified: emailVerifiedAt !== null,
})

/** The settings of all these users, also of those who have set nothing. One statement. */
export async function settingsOf(
  database: Pick<Database, 'orm'>,
  userIds: readonly string[],
): Promise<Map<string, Settings>> {
  const rows = await database.orm.select().from(settings).where(isOneOf(settings.userId, userIds))
  const known = new Map(rows.map((row) => [row.userId, row]))
  return new Map(userIds.map((userId) => [userId, toSettings(known.get(userId) ?? unset(userId))]))
}

/**
 * What users set for themselves: language, zone, quiet hours, previews, and where mail goes while they are away.
 * `askForVerification` is null where the deployment sends no mail.
 */
export function createSettingsService(
  { database }: Pick<Deps, 'database'>,
  askForVerification: AskForVerification | null,
) {
  const { orm } = database
  const asks = createAllowance()

  /** What is to be written of the address, and whether its owner is to be asked. Throws RATE_LIMITED. */
  function changeAddress(row: SettingsRow, email: string | null): { set: Partial<SettingsRow>; isAsked: boolean } {
    if (email === row.email && (email === null || row.emailVerifiedAt !== null)) return { set: {}, isAsked: false }
    if (email === null) return { set: { email, emailVerifiedAt: null }, isAsked: false }
    const now = Date.now()
    const since = now - (row.mailedAt?.getTime() ?? -Infinity)
    // What lies in the future was written by another clock, and is not waited for.
    if (since >= 0 && since < minuteMs) throw tooOften(minuteMs - since)
    asks.take([[`user ${row.userId}`, asksOfUser], [`address ${email}`, asksOfAddress]], now)
    // The same address once more asks once more.
    return { set: { email, emailVerifiedAt: null, mailedAt: new Date(now) }, isAsked: true }
  }

  return {
    async find(viewerId: string): Promise<Settings> {
      return (await settingsOf(database, [viewerId])).get(viewerId)!
    },

    /**
     * Changes what is given, and returns all. Throws BAD_USER_INPUT about what cannot be taken, FORBIDDEN for an
     * address where the deployment sends no mail, and RATE_LIMITED where its owner was asked too often.
     */
    async update(viewerId: string, input: SettingsInput): Promise<Settings> {
      const plain = checkInput(input)
      if (input.email != null && askForVerification === null) throw forbidden('This deployment sends no mail.')
      const email = input.email == null ? input.email : checkMailAddress(input.email, 'input.email')
      return database.transaction(async (tx) => {
        await tx.orm.insert(settings).values({ userId: viewerId }).onConflictDoNothing()
        const own = eq(settings.userId, viewerId)
        // Quiet hours are two fields that must fit together, whoever sets the other at this moment.
        const [row] = await tx.orm.select().from(settings).where(own).for('no key update')
        const address = email === undefined ? { set: {}, isAsked: false } : changeAddress(row!, email)
        const next: SettingsRow = { ...row!, ...plain, ...address.set }
        checkQuietHours(next, input)
        const { userId: _, ...set } = next
        await tx.orm.update(settings).set(set).where(own)
        if (address.isAsked) await askForVerification!(tx, viewerId)
        return toSettings(next)
      })
    },

    /**
     * The owner of an address has said that it is theirs. False where it is no longer the one that the user has set;
     * true however often they say so.
     */
    async confirmAddress(userId: string, addressKey: string): Promise<boolean> {
      const [row] = await orm.select().from(settings).where(eq(settings.userId, userId))
      if (row?.email == null || mailAddressKey(row.email) !== addressKey) return false
      if (row.emailVerifiedAt !== null) return true
      const confirmed = await orm
        .update(settings)
        .set({ emailVerifiedAt: new Date() })
        // It may have been changed in between, to an address that nobody has answered from.
        .where(and(eq(settings.userId, userId), eq(settings.email, row.email), isNull(settings.emailVerifiedAt)))
        .returning({ email: settings.email })
      return confirmed.length > 0
    },

    /** No more mail to this address. Where the user has set another since, nothing goes to this one anyway. */
    async stopMail(userId: string, addressKey: string): Promise<void> {
      const [row] = await orm.select().from(settings).where(eq(settings.userId, userId))
      if (row?.email == null || mailAddressKey(row.email) !== addressKey) return
      await orm
        .update(settings)
        .set({ emailWhenAway: false })
        .where(and(eq(settings.userId, userId), eq(settings.email, row.email)))
    },
  }
}

/** What is given of all but the address, checked and with null for what is cleared; what is absent is left out. */
function checkInput(input: SettingsInput): Partial<SettingsRow> {
  const given: Partial<SettingsRow> = {
    locale: input.locale == null ? input.locale : checkLocale(input.locale, 'input.locale'),
    timeZone: input.timeZone == null ? input.timeZone : checkTimeZone(input.timeZone),
    quietHoursStart: input.quietHoursStart,
    quietHoursEnd: input.quietHoursEnd,
    pushPreviews: input.pushPreviews === null ? true : input.pushPreviews,
    emailWhenAway: input.emailWhenAway === null ? true : input.emailWhenAway,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** A BCP 47 tag as it is written properly, `ko-kr` as `ko-KR`; throws BAD_USER_INPUT. */
export function checkLocale(tag: string, field: string): string {
  const wrong = () => badInput('A locale is a BCP 47 tag, such as ko or en-GB.', field)
  if (tag.length > maxLocale) throw wrong()
  try {
    return Intl.getCanonicalLocales(tag)[0]!
  } catch {
    throw wrong()
  }
}

function checkTimeZone(name: string): string {
  if (name.length > maxTimeZone || !isTimeZone(name)) {
    throw badInput('A time zone is one of the IANA’s, such as Asia/Seoul.', 'input.timeZone')
  }
  const known = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone
  // Node may know a zone by an older name than the one that was asked for: that one is kept.
  return known.toLowerCase() === name.toLowerCase() ? known : name
}

/** Throws BAD_USER_INPUT about the one of the two that was given. */
function checkQuietHours({ quietHoursStart: start, quietHoursEnd: end }: SettingsRow, input: SettingsInput): void {
  for (const field of ['quietHoursStart', 'quietHoursEnd'] as const) {
    const time = input[field]
    if (time == null || minutesOf(time) !== null) continue
    throw badInput('A time is written as in 08:00 or 22:30.', `input.${field}`)
  }
  const field = `input.${input.quietHoursStart === undefined ? 'quietHoursEnd' : 'quietHoursStart'}`
  if ((start === null) !== (end === null)) throw badInput('Quiet hours have a beginning and an end.', field)
  // Nobody can tell whether it would be the whole day or none of it.
  if (start !== null && start === end) throw badInput('Quiet hours do not end when they begin.', field)
}

/** Counts by name what may be done so often in a day. Of this process alone, and forgotten with it. */
function createAllowance() {
  const taken = new LRUCache<string, number[]>({ max: maxCounted })
  return {
    /** Counts one for each of these, or throws RATE_LIMITED and counts none. */
    take(names: readonly (readonly [name: string, most: number])[], now: number): void {
      const recent = names.map(([name]) => (taken.get(name) ?? []).filter((at) => at <= now && now - at < dayMs))
      for (const [nth, [, most]] of names.entries()) {
        if (recent[nth]!.length >= most) throw tooOften(recent[nth]![0]! + dayMs - now)
      }
      for (const [nth, [name]] of names.entries()) taken.set(name, [...recent[nth]!, now])
    },
  }
}

const tooOften = (retryAfterMs: number) =>
  new MaruError('RATE_LIMITED', 'A mail has been sent there already; give it some time.', {
    field: 'input.email',
    retryAfterMs,
  })
