import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  createMaruClient,
  type MaruClient,
  memoryStorage,
  Session,
  type SessionOptions,
  type SessionStorage,
  ViewerDocument,
  webStorage,
} from './index.ts'
import { take, until, upTo } from './testing/read.ts'
import { ToyServer } from './testing/toy-server.ts'

let server: ToyServer
let client: MaruClient | undefined
const credentials = { username: 'alice', password: 'correct horse battery staple' }

async function signedIn(options: Partial<SessionOptions> = {}): Promise<Session> {
  const session = new Session({ url: server.url, ...options })
  await session.signIn(credentials)
  server.requests.length = 0
  return session
}

const refreshes = () => server.requests.filter((name) => name === 'RefreshSession').length

beforeEach(async () => void (server = await new ToyServer().start()))
afterEach(async () => {
  client?.close()
  await server.stop()
})

describe('a session', () => {
  it('gives who signed in, and tokens from then on', async () => {
    const session = new Session({ url: server.url })
    expect(await session.token()).toBeNull()
    expect(await session.signIn(credentials)).toMatchObject({ username: 'alice' })
    expect(await session.token()).toBe('access-1')
  })

  it('refreshes a token that is about to expire before it is used', async () => {
    const storage = memoryStorage()
    await storage.save(server.issueTokens(10_000))
    const session = new Session({ url: server.url, storage })
    expect(await session.token()).toBe('access-2')
    expect(await session.token()).toBe('access-2')
    expect(refreshes()).toBe(1)
  })

  it('refreshes once for all who need it at the same time', async () => {
    const session = await signedIn()
    server.expireAccessTokens()
    client = createMaruClient({ url: server.url, token: session.token })
    const answers = await Promise.all(upTo(20).map(() => client!.request(ViewerDocument)))
    expect(answers.every(({ viewer }) => viewer !== null)).toBe(true)
    expect(refreshes()).toBe(1)
  })

  it('refreshes once for two tabs that share a storage', async () => {
    const items = new Map<string, string>()
    const storage = () =>
      webStorage({
        getItem: (key) => items.get(key) ?? null,
        setItem: (key, value) => void items.set(key, value),
        removeItem: (key) => void items.delete(key),
      })
    const first = await signedIn({ storage: storage() })
    const second = new Session({ url: server.url, storage: storage() })
    const tokens = [await first.token(), await second.token()]
    expect(tokens).toEqual(['access-1', 'access-1'])
    server.expireAccessTokens()
    expect(await Promise.all([first.token('access-1'), second.token('access-1')])).toEqual(['access-2', 'access-2'])
    expect(refreshes()).toBe(1)
  })

  it('is over when the refresh is refused', async () => {
    const session = await signedIn()
    const ends: string[] = []
    session.onSignedOut((reason) => ends.push(reason))
    server.expireAccessTokens()
    server.revokeRefreshTokens()
    let expired = 0
    client = createMaruClient({ url: server.url, token: session.token, onAuthExpired: () => expired++ })
    await expect(client.request(ViewerDocument)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(ends).toEqual(['refused'])
    expect(expired).toBe(1)
    expect(await session.token()).toBeNull()
  })

  it('lives on when the refresh cannot be made just now', async () => {
    const session = await signedIn()
    const url = server.url
    await server.stop()
    await expect(session.token('access-1')).rejects.toMatchObject({ code: 'NETWORK' })
    server = await new ToyServer().start(Number(new URL(url).port))
    server.issueTokens()
    expect(await session.token('access-1')).toBe('access-2')
  })

  it('does not refresh before each request when the clock is wrong', async () => {
    const session = await signedIn({ refreshBeforeMs: 700_000_000 })
    await take(repeat(() => session.token()), 5)
    expect(refreshes()).toBe(0)
  })

  it('forgets its tokens when signing out, and tells the server', async () => {
    const session = await signedIn()
    const ends: string[] = []
    session.onSignedOut((reason) => ends.push(reason))
    await session.signOut()
    expect(await session.token()).toBeNull()
    expect(ends).toEqual(['requested'])
    expect(server.requests).toEqual(['SignOut'])
  })

  it('does not come back to life by a refresh that was under way when it ended', async () => {
    const saved: SessionStorage = memoryStorage()
    const session = await signedIn({ storage: saved })
    const hold = Promise.withResolvers<void>()
    server.hold = hold.promise
    const refreshing = session.token('access-1')
    const leaving = session.signOut()
    hold.resolve()
    await Promise.all([refreshing, leaving])
    expect(await session.token()).toBeNull()
    expect(await saved.load()).toBeNull()
  })
})

describe('a session on a socket', () => {
  it('goes on with a fresh token from where it was when the token expires', async () => {
    const session = await signedIn()
    client = createMaruClient({ url: server.url, token: session.token, retry: { minDelayMs: 10 } })
    const events = client.messages({ channelId: 'general', after: 'general@0' })
    server.send('general')
    await take(events, 1)
    server.expireAccessTokens()
    server.send('general')
    expect(await take(events, 1)).toMatchObject([{ message: { seq: 2 } }])
    const inits = server.frames.filter((frame) => frame.type === 'connection_init')
    expect(inits.map((frame) => frame.payload)).toEqual([
      { authorization: 'Bearer access-1' },
      { authorization: 'Bearer access-2' },
    ])
  })

  it('ends its streams when no fresh token is to be had', async () => {
    const session = await signedIn()
    let expired = 0
    client = createMaruClient({
      url: server.url,
      token: session.token,
      retry: { minDelayMs: 10 },
      onAuthExpired: () => expired++,
    })
    const streams = ['general', 'lobby'].map((channelId) => client!.messages({ channelId, after: `${channelId}@0` }))
    await until(() => server.frames.filter((frame) => frame.type === 'subscribe').length === 2)
    server.revokeRefreshTokens()
    server.expireAccessTokens()
    for (const events of streams) {
      await expect(events.next()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    }
    expect(expired).toBe(1)
  })

  it('waits when the fresh token cannot be had just now', async () => {
    const session = await signedIn()
    let failures = 0
    const flaky = async (refused?: string) => {
      if (refused && failures++ < 3) throw new TypeError('fetch failed')
      return session.token(refused)
    }
    client = createMaruClient({ url: server.url, token: flaky, retry: { minDelayMs: 10 } })
    const events = client.messages({ channelId: 'general', after: 'general@0' })
    server.send('general')
    await take(events, 1)
    server.expireAccessTokens()
    server.send('general')
    expect(await take(events, 1)).toMatchObject([{ message: { seq: 2 } }])
    expect(failures).toBeGreaterThan(3)
  })
})

async function* repeat<Value>(get: () => Promise<Value>): AsyncGenerator<Value> {
  for (;;) yield await get()
}
