import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { MaruError, unavailable } from '../errors.ts'
import { checkMailAddress, mailAddressKey } from '../lib/mail-address.ts'
import { countLockWaits } from '../testing/lock-waits.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { createSettingsService, type SettingsInput, settingsOf } from './settings.ts'

let database: Database
let userId: string
let users = 0
/** Whose owners are asked, in the order of the commits. */
const asked: string[] = []

beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, unavailable })
  await migrate(database)
})
beforeEach(() => {
  userId = String(++users)
  asked.length = 0
})
afterAll(() => database.close())

const open = () =>
  createSettingsService({ database }, async (tx, id) => tx.afterCommit(() => void asked.push(id)))

async function failureOf(answer: Promise<unknown>): Promise<MaruError> {
  const error = await answer.then(() => null, (error: unknown) => error)
  if (error instanceof MaruError) return error
  throw new Error('Not refused', { cause: error })
}

/** Lets so many milliseconds have gone by since the last mail. */
async function wait(ms: number) {
  const [row] = await database.run<{ mailed_at: Date }>('select mailed_at from settings where user_id = $1', [userId])
  const mailedAt = new Date(row!.mailed_at.getTime() - ms)
  await database.run('update settings set mailed_at = $2 where user_id = $1', [userId, mailedAt])
}

test('whose settings are asked for together are found by one statement, also where there are none', async () => {
  const service = open()
  await service.update(userId, { locale: 'ko' })
  const found = await settingsOf(database, [userId, '999'])
  expect(found.get(userId)).toMatchObject({ locale: 'ko', timeZone: 'UTC' })
  expect(found.get('999')).toMatchObject({ userId: '999', locale: 'en', pushPreviews: true, emailVerified: false })
  expect((await settingsOf(database, [])).size).toBe(0)
})

describe('an address', () => {
  test('is asked for once it is set, and is not verified before it has answered', async () => {
    const service = open()
    expect(await service.update(userId, { email: ' alice@Example.ORG ' })).toMatchObject({
      email: 'alice@example.org',
      emailVerified: false,
    })
    expect(asked).toEqual([userId])
    expect(await service.confirmAddress(userId, mailAddressKey('alice@example.org'))).toBe(true)
    expect(await service.confirmAddress(userId, mailAddressKey('alice@example.org'))).toBe(true)
    expect(await service.find(userId)).toMatchObject({ email: 'alice@example.org', emailVerified: true })
    // Nothing is asked about what is known.
    const same = await service.update(userId, { email: 'alice@example.org', locale: 'ko' })
    expect(same).toMatchObject({ emailVerified: true, locale: 'ko' })
    expect(asked).toEqual([userId])
  })

  test('that takes the place of another is to be confirmed anew, and the other’s answer is not its', async () => {
    const service = open()
    await service.update(userId, { email: 'alice@example.org' })
    await wait(60_000)
    await service.update(userId, { email: 'alice@example.com' })
    expect(await service.confirmAddress(userId, mailAddressKey('alice@example.org'))).toBe(false)
    expect(await service.find(userId)).toMatchObject({ email: 'alice@example.com', emailVerified: false })
    expect(await service.confirmAddress(userId, mailAddressKey('alice@example.com'))).toBe(true)
    await service.stopMail(userId, mailAddressKey('alice@example.org'))
    expect(await service.find(userId)).toMatchObject({ emailWhenAway: true })
    await service.stopMail(userId, mailAddressKey('alice@example.com'))
    expect(await service.find(userId)).toMatchObject({ emailWhenAway: false, emailVerified: true })
    expect(await service.update(userId, { email: null })).toMatchObject({ email: null, emailVerified: false })
    expect(await service.confirmAddress(userId, mailAddressKey('alice@example.com'))).toBe(false)
    expect(await service.confirmAddress('998', mailAddressKey('alice@example.com'))).toBe(false)
  })

  test('that is changed at the moment of its answer stays unconfirmed', async () => {
    const service = open()
    await service.update(userId, { email: 'alice@example.org' })
    const [changed, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const change = database.transaction(async (tx) => {
      await tx.run(`update settings set email = 'alice@example.com' where user_id = $1`, [userId])
      changed.resolve()
      await go.promise
    })
    await changed.promise
    const answer = service.confirmAddress(userId, mailAddressKey('alice@example.org'))
    await expect.poll(() => countLockWaits(database)).toBe(1)
    go.resolve()
    await change
    expect(await answer).toBe(false)
    expect(await service.find(userId)).toMatchObject({ email: 'alice@example.com', emailVerified: false })
  })

  test('is asked at most once in a minute, and a few times in a day', async () => {
    const service = open()
    await service.update(userId, { email: 'alice@example.org' })
    // Another replica, which has counted none.
    for (const other of [service, open()]) {
      const { code, field, retryAfterMs } = await failureOf(other.update(userId, { email: 'bob@example.org' }))
      expect([code, field]).toEqual(['RATE_LIMITED', 'input.email'])
      expect(retryAfterMs).toBeGreaterThan(30_000)
      expect(retryAfterMs).toBeLessThanOrEqual(60_000)
    }
    expect(await service.find(userId)).toMatchObject({ email: 'alice@example.org' })
    // What is about no address goes on.
    await service.update(userId, { locale: 'ko' })
    for (let nth = 2; nth <= 5; nth++) {
      await wait(61_000)
      await service.update(userId, { email: 'alice@example.org' })
    }
    expect(asked).toHaveLength(5)
    await wait(61_000)
    const { code, retryAfterMs } = await failureOf(service.update(userId, { email: 'alice@example.org' }))
    expect(code).toBe('RATE_LIMITED')
    expect(retryAfterMs).toBeGreaterThan(23 * 3_600_000)
  })

  test('is asked a few times in a day, whoever sets it', async () => {
    const service = open()
    const outcomes: string[] = []
    for (let nth = 0; nth < 12; nth++) {
      const answer = service.update(String(++users), { email: 'carol@example.org' })
      outcomes.push(await answer.then(() => 'asked', (error: MaruError) => error.code))
    }
    expect(outcomes).toEqual([...Array<string>(10).fill('asked'), 'RATE_LIMITED', 'RATE_LIMITED'])
  })

  test('is asked once by two who come at once', async () => {
    const [one, other] = [open(), open()]
    const answers = [one, other].map((service) => service.update(userId, { email: 'alice@example.org' }))
    const outcomes = await Promise.allSettled(answers)
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(asked).toEqual([userId])
  })

  test('is not set where its owner cannot be asked', async () => {
    const service = createSettingsService({ database }, () => Promise.reject(unavailable()))
    expect((await failureOf(service.update(userId, { email: 'alice@example.org' }))).code).toBe('UNAVAILABLE')
    expect(await service.find(userId)).toMatchObject({ email: null })
    const without = createSettingsService({ database }, null)
    expect((await failureOf(without.update(userId, { email: 'alice@example.org' }))).code).toBe('FORBIDDEN')
    await without.update(userId, { email: null, locale: 'ko' })
  })

  test('a clock that was put back makes nobody wait', async () => {
    const service = open()
    await service.update(userId, { email: 'alice@example.org' })
    await wait(-365 * 24 * 3_600_000)
    await service.update(userId, { email: 'alice@example.org' })
    expect(asked).toHaveLength(2)
  })
})

test.each([
  '',
  'alice',
  '@example.org',
  'alice@',
  'alice@localhost',
  'alice@127.0.0.1',
  'alice@[127.0.0.1]',
  'alice@example.org, bob@example.org',
  'alice@example.org\r\nBcc: bob@example.org',
  'alice bob@example.org',
  '<alice@example.org>',
  'Alice <alice@example.org>',
  '"alice"@example.org',
  '.alice@example.org',
  'al..ice@example.org',
  'alice@-example.org',
  'alice@example..org',
  'alice@example.org.',
  'alice@exa mple.org',
  '앨리스@example.org',
  `${'a'.repeat(65)}@example.org`,
  `alice@${'a'.repeat(63)}.${'a'.repeat(63)}.${'a'.repeat(63)}.${'a'.repeat(63)}.org`,
  `alice@${'a'.repeat(100_000)}.org`,
])('%j is no address', async (email) => {
  const { code, field } = await failureOf(open().update(userId, { email, locale: 'ko' } satisfies SettingsInput))
  expect([code, field]).toEqual(['BAD_USER_INPUT', 'input.email'])
})

test('addresses keep what is before the @, and are in ASCII behind it', () => {
  expect(checkMailAddress("Alice.O'Hara+chat@Example.Org", '')).toBe("Alice.O'Hara+chat@example.org")
  expect(checkMailAddress('alice@한국.kr', '')).toBe('alice@xn--3e0b707e.kr')
  expect(checkMailAddress('a@b.c1', '')).toBe('a@b.c1')
})
