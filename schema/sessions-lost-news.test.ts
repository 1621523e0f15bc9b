import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  MessagesDocument,
  RefreshSessionDocument,
  SignInDocument,
  SignOutDocument,
  ViewerDocument,
} from '../client-sdk/index.ts'
import { listen, subscriptions } from '../server/testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { failure, newChannel, say } from './testing/operations.ts'
import { openRawSocket, type RawSocket } from './testing/raw-socket.ts'

/** Sessions end on one replica; the other hears of nothing but through the store. */
let app: TestApp
let deaf: Replica
let alice: Person
let bob: Person
let channelId: string
beforeAll(async () => {
  app = await startTestApp()
  deaf = await app.addReplica()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  channelId = await newChannel(alice, {}, [bob])
})
afterAll(() => app.stop())

/** Two sessions of bob's, on the replica that hears nothing. */
let phone: Person
let desktop: Person
beforeEach(async () => {
  const signIn = async (): Promise<Person> => {
    const input = { username: 'bob', password: 'bob’s password' }
    const { signIn: tokens } = await app.client().request(SignInDocument, { input })
    return { ...bob, token: tokens.accessToken, client: deaf.client(tokens.accessToken), tokens }
  }
  ;[phone, desktop] = await Promise.all([signIn(), signIn()])
})

/** The store is asked every second; what takes longer than this is not that. */
const soonMs = 5_000

async function closesSoon(socket: RawSocket): Promise<number | 'open'> {
  const timeout = new Promise<'open'>((resolve) => setTimeout(resolve, soonMs, 'open'))
  return Promise.race([socket.closed, timeout])
}

const ways: [how: string, end: (tokens: Person['tokens']) => Promise<unknown>][] = [
  ['signing out', ({ refreshToken }) => app.client().request(SignOutDocument, { refreshToken })],
  [
    'using a refresh token twice',
    async ({ refreshToken }) => {
      await app.client().request(RefreshSessionDocument, { refreshToken })
      await failure(app.client().request(RefreshSessionDocument, { refreshToken }))
    },
  ],
]

test.each(ways)('%s on one replica closes the session’s sockets on another that is deaf', async (_, end) => {
  const before = await subscriptions(deaf, 'messages')
  const socket = await openRawSocket(deaf.url, phone.token)
  const other = await openRawSocket(deaf.url, desktop.token)
  const onPhone = listen(deaf, phone, MessagesDocument, { channelId, after: null })
  const onDesktop = listen(deaf, desktop, MessagesDocument, { channelId, after: null })
  await expect.poll(() => subscriptions(deaf, 'messages')).toBe(before + 2)
  await say({ ...alice, client: deaf.client(alice.token) }, channelId, 'while both are in')
  await expect.poll(() => [onPhone.events.length, onDesktop.events.length]).toEqual([1, 1])

  await end(phone.tokens)
  expect(await closesSoon(socket)).toBe(4403)
  expect(await onPhone.ended).toBe('cut')
  // The session of the other device is another.
  await say({ ...alice, client: deaf.client(alice.token) }, channelId, 'behind the phone’s back')
  await expect.poll(() => onDesktop.events.length).toBe(2)
  expect(onPhone.events).toHaveLength(1)
  expect(other.isOpen()).toBe(true)

  // What was remembered of the session is forgotten, too.
  expect((await failure(phone.client.request(ViewerDocument))).code).toBe('UNAUTHENTICATED')
  await expect(openRawSocket(deaf.url, phone.token)).rejects.toThrow('closed with 4403')
  expect((await desktop.client.request(ViewerDocument)).viewer).toMatchObject({ username: 'bob' })
  other.close()
  onDesktop.stop()
})
