import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  RefreshSessionDocument,
  SignInDocument,
  SignOutDocument,
  SignUpDocument,
  ViewerDocument,
} from '../client-sdk/index.ts'
import { type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, conflicting, failure, refusal } from './testing/operations.ts'
import { openRawSocket } from './testing/raw-socket.ts'

let app: TestApp
let replica: Replica
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica()
})
afterAll(() => app.stop())

const signUp = (username: string, more: { password?: string; displayName?: string | null } = {}, on: Replica = app) =>
  on.client().request(SignUpDocument, { input: { username, password: 'long enough', ...more } })

async function signIn(username: string, password = 'long enough') {
  const { signIn } = await app.client().request(SignInDocument, { input: { username, password } })
  return signIn
}

async function refresh(refreshToken: string, on: Replica = app) {
  const { refreshSession } = await on.client().request(RefreshSessionDocument, { refreshToken })
  return refreshSession
}

async function signOut(refreshToken: string) {
  const { signOut } = await app.client().request(SignOutDocument, { refreshToken })
  return signOut
}

describe('signing up', () => {
  test('gives tokens that work, and keeps the password as argon2id', async () => {
    const { signUp: tokens } = await signUp('alice', { displayName: ' Alice ' })
    expect(tokens.viewer).toMatchObject({ username: 'alice', displayName: 'Alice', bot: false, avatarUrl: null })
    const { viewer } = await app.client(tokens.accessToken).request(ViewerDocument)
    expect(viewer).toEqual(tokens.viewer)
    const minutesLeft = (Date.parse(tokens.accessTokenExpiresAt) - Date.now()) / 60_000
    expect(minutesLeft).toBeGreaterThan(14)
    expect(minutesLeft).toBeLessThanOrEqual(15)
    const [row] = await app.app.database.run<{ hash: string }>('select password_hash as hash from credentials', [])
    expect(row!.hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  })

  test.each([
    ['bob', 'BOB'],
    ['é', 'é'.normalize('NFD')],
    ['민수', '민수'.normalize('NFD')],
    ['ΟΔΟΣ', 'οδοσ'],
    ['straße', 'STRASSE'],
  ])('a name that is taken as %s is taken as %s too', async (name, other) => {
    await signUp(name)
    expect(await refusal(signUp(other))).toEqual(conflicting('input.username'))
    const { viewer } = await signIn(other)
    expect(viewer.username).toBe(name.normalize('NFC'))
  })

  test('of those who want one name at once, on two replicas, one gets it', async () => {
    const attempts = Array.from({ length: 8 }, (_, place) => signUp('carol', {}, place % 2 === 0 ? app : replica))
    const outcomes = await Promise.allSettled(attempts)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(conflicting('input.username'))
    }
  })

  test.each([
    ['nothing', ''],
    ['33 letters', 'a'.repeat(33)],
    ['a space', 'al ice'],
    ['a sign at the beginning', '.alice'],
    ['a letter that is drawn as nothing', 'alice\u3164'],
    ['an invisible joiner', 'ali\u200dce'],
    ['a control character', 'alice\u0000'],
    ['half a pair', 'alice\ud800'],
    ['what means everybody', 'Everyone'],
    ['what means everybody', 'HERE'],
    ['a million accents', `a${'\u0301'.repeat(1_000_000)}`],
  ])('refuses a username that is %s', async (_, username) => {
    expect(await refusal(signUp(username))).toEqual(bad('input.username'))
  })

  test('takes usernames of 32 letters of any script', async () => {
    for (const username of ['a'.repeat(32), '𠮷'.repeat(32), '김.민-수_1']) {
      expect((await signUp(username)).signUp.viewer).toMatchObject({ username, displayName: username })
    }
  })

  test.each([
    [{ password: '7 chars' }, 'input.password'],
    [{ password: 'p'.repeat(257) }, 'input.password'],
    [{ password: 'unfinished \ud83d' }, 'input.password'],
    [{ displayName: '' }, 'input.displayName'],
    [{ displayName: '\u3164\u200b' }, 'input.displayName'],
    [{ displayName: 'Dan\nDan' }, 'input.displayName'],
    [{ displayName: 'd'.repeat(81) }, 'input.displayName'],
  ])('refuses %j', async (input, field) => {
    expect(await refusal(signUp('dan', input))).toEqual(bad(field))
  })
})

describe('signing in', () => {
  test('takes the password in whatever form a keyboard writes it', async () => {
    const password = '비밀번호는 아주 깁니다 '.repeat(10)
    await signUp('erin', { password })
    expect((await signIn('Erin', password.normalize('NFD'))).viewer.username).toBe('erin')
  })

  test('a wrong name and a wrong password look alike, and take alike', async () => {
    await signUp('frank')
    const tried = async (username: string, password: string) => {
      const started = performance.now()
      const { code, field, message } = await failure(signIn(username, password))
      return { answer: { code, field, message }, took: performance.now() - started }
    }
    // The first name that does not exist makes the hash that all such names are compared with.
    await tried('nobody', 'long enough')
    const wrongPassword = await tried('frank', 'long enough!')
    const wrongName = await tried('nobody', 'long enough')
    expect(wrongName.answer).toEqual(wrongPassword.answer)
    expect(wrongName.answer).toMatchObject({ code: 'UNAUTHENTICATED', field: undefined })
    expect((await tried('\u0000', 'long enough')).answer).toEqual(wrongName.answer)
    // Hashing takes nearly all of it.
    expect(wrongName.took).toBeGreaterThan(wrongPassword.took / 3)
  })
})

describe('refreshing', () => {
  test('each token works once, and gives the next one', async () => {
    let { refreshToken } = (await signUp('grace')).signUp
    const seen = new Set([refreshToken])
    for (let time = 0; time < 3; time++) {
      const tokens = await refresh(refreshToken, time % 2 === 0 ? replica : app)
      expect(tokens.viewer.username).toBe('grace')
      expect((await app.client(tokens.accessToken).request(ViewerDocument)).viewer).toEqual(tokens.viewer)
      refreshToken = tokens.refreshToken
      seen.add(refreshToken)
    }
    expect(seen.size).toBe(4)
  })

  test('a token that is used twice ends its session, sockets included, and no other', async () => {
    const first = (await signUp('heidi')).signUp
    const other = await signIn('heidi')
    const second = await refresh(first.refreshToken)
    const socket = await openRawSocket(app.url, second.accessToken)
    const otherSocket = await openRawSocket(app.url, other.accessToken)

    expect(await refusal(refresh(first.refreshToken))).toEqual({ code: 'UNAUTHENTICATED', field: undefined })

    expect(await socket.closed).toBe(4403)
    expect((await failure(refresh(second.refreshToken))).code).toBe('UNAUTHENTICATED')
    expect((await refresh(other.refreshToken)).viewer.username).toBe('heidi')
    expect(otherSocket.isOpen()).toBe(true)
    otherSocket.close()
  })

  test('of two who use one token at once, on two replicas, one wins; then both are out', async () => {
    for (let round = 0; round < 5; round++) {
      const tokens = round === 0 ? (await signUp('ivan')).signUp : await signIn('ivan')
      const outcomes = await Promise.allSettled([
        refresh(tokens.refreshToken, app),
        refresh(tokens.refreshToken, replica),
      ])
      const won = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
      expect(won).toHaveLength(1)
      expect((await failure(refresh(won[0]!.refreshToken))).code).toBe('UNAUTHENTICATED')
    }
  })

  test('a token that was made up ends nobody’s session', async () => {
    const { signUp: tokens } = await signUp('judy')
    const newest = await refresh(tokens.refreshToken)
    const [userId, sessionId, , secret] = newest.refreshToken.split('.')
    const madeUp = [
      // Whoever knows when somebody signed up knows about when their first session began.
      ...Array.from({ length: 20 }, (_, ms) => [userId, BigInt(userId!) + (BigInt(ms) << 22n), 0, secret]),
      [userId, sessionId, 1, 'A'.repeat(43)],
      [userId, sessionId, 2, secret],
      [BigInt(userId!) + 1n, sessionId, 0, secret],
    ]
    for (const parts of madeUp) {
      expect((await failure(refresh(parts.join('.')))).code).toBe('UNAUTHENTICATED')
    }
    expect(await signOut([userId, sessionId, 1, 'A'.repeat(43)].join('.'))).toBe(false)
    expect((await refresh(newest.refreshToken)).viewer.username).toBe('judy')
  })

  test('session ids have nothing to do with time', async () => {
    await signUp('kim')
    const started = await Promise.all(Array.from({ length: 6 }, () => signIn('kim')))
    // Snowflakes of one second would share all of these bits.
    const beginnings = started.map(({ refreshToken }) => BigInt(refreshToken.split('.')[1]!) >> 50n)
    expect(new Set(beginnings).size).toBeGreaterThan(1)
  })
})

describe('signing out', () => {
  test('ends the session and its sockets once, and leaves the others', async () => {
    const { signUp: tokens } = await signUp('leo')
    const other = await signIn('leo')
    const socket = await openRawSocket(app.url, tokens.accessToken)
    expect(await signOut(tokens.refreshToken)).toBe(true)
    expect(await socket.closed).toBe(4403)
    expect(await signOut(tokens.refreshToken)).toBe(false)
    expect((await failure(refresh(tokens.refreshToken))).code).toBe('UNAUTHENTICATED')
    expect((await refresh(other.refreshToken)).viewer.username).toBe('leo')
  })

  test('works with a token that was exchanged already', async () => {
    const { signUp: tokens } = await signUp('mia')
    const newest = await refresh(tokens.refreshToken)
    expect(await signOut(tokens.refreshToken)).toBe(true)
    expect((await failure(refresh(newest.refreshToken))).code).toBe('UNAUTHENTICATED')
  })
})
