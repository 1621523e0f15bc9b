import { WebSocket } from 'ws'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import {
  createMaruClient,
  RefreshSessionDocument,
  Session,
  SignUpDocument,
  ViewerDocument,
} from '../client-sdk/index.ts'
import { startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { failure, newChannel, say } from './testing/operations.ts'
import { openRawSocket } from './testing/raw-socket.ts'

let app: TestApp
beforeAll(async () => {
  app = await startTestApp({ ACCESS_TOKEN_MINUTES: '1', REFRESH_TOKEN_DAYS: '2' })
})
afterEach(() => {
  vi.useRealTimers()
})
afterAll(() => app.stop())

const minute = 60_000
const day = 24 * 60 * minute

/** Only what time it is changes; timers, sockets and the store go on as ever. */
function travel(ms: number) {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + ms })
}

const signUp = (username: string) =>
  app.client().request(SignUpDocument, { input: { username, password: 'long enough' } })

test('an access token is good for as long as the deployment says', async () => {
  const { accessToken, accessTokenExpiresAt } = (await signUp('alice')).signUp
  const left = Date.parse(accessTokenExpiresAt) - Date.now()
  expect(left).toBeGreaterThan(minute - 2_000)
  expect(left).toBeLessThanOrEqual(minute)
  const client = app.client(accessToken)
  expect((await client.request(ViewerDocument)).viewer).toMatchObject({ username: 'alice' })
  travel(minute)
  expect((await failure(client.request(ViewerDocument))).code).toBe('UNAUTHENTICATED')
})

test('a socket is closed when its token ends, with a code after which clients come again', async () => {
  const socket = await openRawSocket(app.url, (await signUp('bob')).signUp.accessToken)
  travel(minute)
  expect(await socket.closed).toBe(4403)
})

test('a client gets itself a fresh token, and its stream goes on without a gap or a repeat', async () => {
  const session = new Session({ url: app.url })
  const carol = await session.signUp({ username: 'carol', password: 'long enough' })
  const states: string[] = []
  const client = createMaruClient({
    url: app.url,
    token: session.token,
    webSocketImpl: WebSocket,
    retry: { minDelayMs: 10 },
    onConnection: (state) => states.push(state),
  })
  const person = { id: carol.id, username: 'carol', client, token: '', tokens: {} as never }
  const channelId = await newChannel(person)
  const heard: string[] = []
  const stream = client.messages({ channelId })
  const hear = async (count: number) => {
    while (heard.length < count) heard.push((await stream.next()).value!.message.content)
  }
  await say(person, channelId, '1')
  await hear(1)
  const before = await session.token()

  travel(minute)
  await vi.waitUntil(() => states.includes('closed'), { timeout: 10_000 })
  await say(person, channelId, '2')
  await say(person, channelId, '3')
  await hear(3)

  expect(heard).toEqual(['1', '2', '3'])
  expect(states).toEqual(['connecting', 'open', 'closed', 'connecting', 'open'])
  expect(await session.token()).not.toBe(before)
  client.close()
})

test('who stays away for longer than the deployment allows must sign in again', async () => {
  const { refreshToken } = (await signUp('dan')).signUp
  travel(-2 * day)
  const late = (await signUp('erin')).signUp
  vi.useRealTimers()
  const refresh = (token: string) => app.client().request(RefreshSessionDocument, { refreshToken: token })
  expect((await failure(refresh(late.refreshToken))).code).toBe('UNAUTHENTICATED')
  expect((await refresh(refreshToken)).refreshSession.viewer.username).toBe('dan')
})
