import { afterEach, describe, expect, test } from 'vitest'
import { connect, post, rawSocket, run, send, startTestServer, until } from './test-server.ts'
import type { TestServer } from './test-server.ts'

let server: TestServer
const start = async (...args: Parameters<typeof startTestServer>) => (server = await startTestServer(...args))
afterEach(() => server.drain(0))

/** What a browser sends with a request of the server's own page. */
const ownPage = () => ({ origin: server.url, 'sec-fetch-site': 'same-origin' })
const asked = async (headers: Record<string, string>) => (await post(server.graphql, '{ viewer }', headers)).json

describe('a request', () => {
  test('is nobody without a token, and somebody with one', async () => {
    await start()
    expect(await asked({})).toEqual({ data: { viewer: null } })
    expect(await asked({ authorization: 'Bearer alice' })).toEqual({ data: { viewer: 'alice' } })
    expect(await asked({ authorization: 'bearer  alice' })).toEqual({ data: { viewer: 'alice' } })
    expect(await asked({ authorization: 'Basic YWxpY2U6' })).toEqual({ data: { viewer: null } })
  })

  test('with a bad token is told so, in the way that its client understands', async () => {
    await start()
    const error = { errors: [{ message: 'That token is not good.', extensions: { code: 'UNAUTHENTICATED' } }] }
    const old = await post(server.graphql, '{ hello }', { authorization: 'Bearer eve', accept: 'application/json' })
    expect(old).toMatchObject({ status: 200, json: error })
    const accept = 'application/graphql-response+json, application/json;q=0.9'
    const modern = await post(server.graphql, '{ hello }', { authorization: 'Bearer eve', accept })
    expect(modern).toMatchObject({ status: 401, json: error })
  })

  test('is not refused as unauthenticated when nobody can say', async () => {
    await start()
    const answer = await post(server.graphql, '{ hello }', {
      authorization: 'Bearer down',
      accept: 'application/graphql-response+json',
    })
    expect(answer).toMatchObject({ status: 503, json: { errors: [{ extensions: { code: 'UNAVAILABLE' } }] } })
  })
})

describe('the cookie of the GraphiQL page', () => {
  const signIn = (headers: Record<string, string>) =>
    post(server.graphql, 'mutation { signIn(token: "alice") }', headers)

  test('is set for that page alone', async () => {
    await start()
    const page = { ...ownPage(), 'x-maru-graphiql': '1' }
    // One that an earlier version set beside it goes, whenever one signs in or out: it would be the one that is left.
    const earlier = 'maru_session=; Path=/graphql; HttpOnly; SameSite=Strict; Max-Age=0'
    expect((await signIn(page)).headers['set-cookie']).toEqual([
      expect.stringMatching(/^maru_session=alice; Path=\/; HttpOnly; SameSite=Strict; Max-Age=(59|60)$/),
      earlier,
    ])
    const others: Array<Record<string, string>> = [
      {},
      ownPage(),
      { 'x-maru-graphiql': '1' },
      { ...page, origin: 'https://evil.example' },
      { ...page, 'sec-fetch-site': 'same-site' },
      { origin: 'null', 'x-maru-graphiql': '1' },
    ]
    for (const headers of others) {
      expect((await signIn(headers)).headers['set-cookie']).toBeUndefined()
    }
    const signedOut = await post(server.graphql, 'mutation { signOut }', { ...page, cookie: 'maru_session=alice' })
    expect(signedOut.headers['set-cookie']).toEqual([earlier.replace('/graphql', '/'), earlier])
  })

  test('is only for https where the public address is', async () => {
    await start({ publicUrl: 'https://chat.example.com' })
    const { headers } = await signIn({ origin: 'https://chat.example.com', 'x-maru-graphiql': '1' })
    const secure = expect.stringMatching(/; Secure$/)
    expect(headers['set-cookie']).toEqual([secure, secure])
  })

  test('counts for requests of the own page alone, and after a token', async () => {
    await start()
    const cookie = 'theme=dark; maru_session=alice'
    expect(await asked({ cookie, ...ownPage() })).toEqual({ data: { viewer: 'alice' } })
    expect(await asked({ cookie, origin: server.url })).toEqual({ data: { viewer: 'alice' } })
    expect(await asked({ cookie, ...ownPage(), authorization: 'Bearer bob' })).toEqual({ data: { viewer: 'bob' } })
    // The first is of an earlier version.
    expect(await asked({ cookie: `maru_session=bob; ${cookie}`, ...ownPage() })).toEqual({ data: { viewer: 'alice' } })
    const got = await send(`${server.graphql}?query={viewer}`, { headers: { cookie, 'sec-fetch-site': 'same-origin' } })
    expect(got.json).toEqual({ data: { viewer: 'alice' } })
    const others: Array<Record<string, string>> = [
      {},
      { origin: 'https://evil.example' },
      { origin: server.url, 'sec-fetch-site': 'cross-site' },
      { origin: 'null' },
    ]
    for (const headers of others) {
      expect(await asked({ cookie, ...headers })).toEqual({ data: { viewer: null } })
    }
  })

  test('is taken away when it is no longer good, and the request goes on as nobody', async () => {
    await start()
    const { json, headers } = await post(server.graphql, '{ viewer }', { cookie: 'maru_session=old', ...ownPage() })
    expect(json).toEqual({ data: { viewer: null } })
    const ended = expect.stringMatching(/^maru_session=;.*Max-Age=0$/)
    expect(headers['set-cookie']).toEqual([ended, ended])
  })
})

describe('a socket', () => {
  const viewerOn = async (connectionParams: Record<string, unknown>, extensions?: Record<string, unknown>) => {
    const client = connect(server, { connectionParams })
    const { results, errors } = await run(client, { query: 'subscription { ticks(count: 1) { viewer } }', extensions })
    return errors ? errors : results[0].data.ticks.viewer
  }

  test('is signed in by connection_init, in any of the usual forms', async () => {
    await start()
    expect(await viewerOn({})).toBeNull()
    expect(await viewerOn({ token: 'alice' })).toBe('alice')
    expect(await viewerOn({ token: 'Bearer alice' })).toBe('alice')
    expect(await viewerOn({ authorization: 'Bearer alice' })).toBe('alice')
    expect(await viewerOn({ Authorization: 'Bearer alice' })).toBe('alice')
  })

  test("is signed in for an operation by what GraphiQL's headers pane holds", async () => {
    await start()
    expect(await viewerOn({}, { headers: { Authorization: 'Bearer alice' } })).toBe('alice')
    expect(await viewerOn({ token: 'bob' }, { headers: { authorization: 'Bearer alice' } })).toBe('alice')
    const errors = await viewerOn({}, { headers: { Authorization: 'Bearer eve' } })
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }])
  })

  test('is signed in by the cookie of the own page alone', async () => {
    await start()
    const cookie = 'maru_session=alice'
    const viewerWith = async (headers: Record<string, string>) => {
      const { init, subscribe, messages, socket } = await rawSocket(server, { headers })
      await init()
      subscribe('1', '{ viewer }')
      await until(() => messages.length > 1)
      socket.terminate()
      return messages[1].payload.data.viewer
    }
    expect(await viewerWith({ cookie, origin: server.url })).toBe('alice')
    expect(await viewerWith({ cookie })).toBeNull()
    expect(await viewerWith({ cookie: 'maru_session=old', origin: server.url })).toBeNull()
  })

  test('with a bad token closes with a code after which clients fetch another', async () => {
    await start()
    const { say, closed } = await rawSocket(server)
    say({ type: 'connection_init', payload: { token: 'eve' } })
    expect(await closed).toEqual({ code: 4403, reason: 'Forbidden' })

    const tokens = ['eve', 'alice']
    const client = connect(server, {
      connectionParams: () => ({ token: tokens.shift() }),
      retryAttempts: 1,
      retryWait: async () => {},
    })
    const { results } = await run(client, { query: '{ viewer }' })
    expect(results).toEqual([{ data: { viewer: 'alice' } }])
  })

  test.each(['down', 'broken'])('is asked to come again when nobody can say (%s)', async (token) => {
    await start()
    const { say, closed } = await rawSocket(server)
    say({ type: 'connection_init', payload: { token } })
    expect((await closed).code).toBe(1013)
  })

  test('closes when its token ends, and the client goes on with a new one', async () => {
    await start({ limits: { sweepIntervalMs: 20 } })
    const tokens = ['alice+200', 'alice+60000']
    const closings: unknown[] = []
    const client = connect(server, {
      connectionParams: () => ({ token: tokens.shift() }),
      retryAttempts: 1,
      retryWait: async () => {},
      on: { closed: (event) => closings.push(event) },
    })
    const end = client.subscribe({ query: 'subscription { forever { n } }' }, { next() {}, error() {}, complete() {} })
    await until(() => server.sources.opened === 2)
    expect(closings).toMatchObject([{ code: 4403, reason: 'Token expired' }])
    expect(server.sources.closed).toBe(1)
    end()
  })

  test("closes when an operation's own token ends", async () => {
    await start({ limits: { sweepIntervalMs: 20 } })
    const { init, subscribe, closed } = await rawSocket(server)
    await init()
    subscribe('1', 'subscription { forever { n } }', { headers: { Authorization: 'Bearer alice+100' } })
    expect(await closed).toEqual({ code: 4403, reason: 'Token expired' })
  })

  test('closes when its session is revoked, and no other does', async () => {
    await start()
    const [alice, bob, nobody] = await Promise.all([rawSocket(server), rawSocket(server), rawSocket(server)])
    await alice.init({ token: 'alice' })
    await bob.init({ token: 'bob' })
    await nobody.init()
    server.closeSessions(({ sessionId }) => sessionId === 'session of alice')
    expect(await alice.closed).toEqual({ code: 4403, reason: 'Session ended' })
    expect(bob.socket.readyState).toBe(bob.socket.OPEN)
    expect(nobody.socket.readyState).toBe(nobody.socket.OPEN)
  })

  test('is not listened to any more once it is being closed', async () => {
    await start()
    const { init, subscribe, closed } = await rawSocket(server)
    await init({ token: 'alice' })
    server.closeSessions(() => true)
    subscribe('1', 'mutation { signOut }')
    await closed
    expect(server.contexts).toEqual([])
  })

  test.each([
    ['another site', { origin: 'https://evil.example' }],
    ['a page without an origin', { origin: 'null' }],
    ['a site that only looks like one', { origin: 'https://app.example.com.evil.example' }],
    ['the same name on another port', { origin: 'https://app.example.com:8443' }],
  ])('is refused to %s', async (_who, headers) => {
    await start({ corsOrigins: ['https://app.example.com'] })
    await expect(rawSocket(server, { headers })).rejects.toThrow('403')
  })

  test('is for the own page, the public address, listed sites, and programs', async () => {
    await start({ corsOrigins: ['https://app.example.com'], publicUrl: 'https://chat.example.com' })
    for (const origin of [server.url, 'https://chat.example.com', 'https://app.example.com']) {
      const { init } = await rawSocket(server, { headers: { origin } })
      await init()
    }
    await (await rawSocket(server)).init()
  })
})
