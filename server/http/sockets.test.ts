import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { connect, rawSocket, run, startTestServer, until } from './test-server.ts'
import type { TestServer } from './test-server.ts'

let server: TestServer
const start = async (...args: Parameters<typeof startTestServer>) => (server = await startTestServer(...args))
afterEach(() => server.drain(0))

describe('operations on a socket', () => {
  beforeEach(() => start())

  test('queries and mutations are answered, and subscriptions event by event', async () => {
    const client = connect(server)
    expect((await run(client, { query: '{ hello }' })).results).toEqual([{ data: { hello: 'world' } }])
    expect((await run(client, { query: 'mutation { signOut }' })).results).toEqual([{ data: { signOut: true } }])
    const { results, errors } = await run(client, { query: 'subscription { ticks(count: 3) { n } }' })
    expect(errors).toBeNull()
    expect(results.map(({ data }) => data.ticks.n)).toEqual([1, 2, 3])
  })

  test('each event has a context of its own', async () => {
    const query = 'subscription { ticks(count: 3) { context again: context } }'
    const { results } = await run(connect(server), { query })
    const contexts = results.map(({ data }) => data.ticks.context)
    expect(new Set(contexts).size).toBe(3)
    for (const { data } of results) expect(data.ticks.again).toBe(data.ticks.context)
    expect(server.contexts.map(({ event }) => event?.item)).toEqual([
      undefined,
      { ticks: { n: 1 } },
      { ticks: { n: 2 } },
      { ticks: { n: 3 } },
    ])
  })

  test.each([
    ['a syntax error', 'subscription {', 'BAD_USER_INPUT'],
    ['an unknown field', '{ nope }', 'BAD_USER_INPUT'],
    ['a missing variable', 'query ($text: String!) { echo(text: $text) }', 'BAD_USER_INPUT'],
    ['no such operation', 'fragment F on Query { hello }', 'BAD_USER_INPUT'],
    ['a query that asks for too much', `{ ${'a: hello '.repeat(21)} }`, 'QUERY_TOO_COMPLEX'],
    ['a subscription that is refused', 'subscription { refused { n } }', 'FORBIDDEN'],
  ])('%s ends that operation only', async (_what, query, code) => {
    const { messages, subscribe, init, socket } = await rawSocket(server)
    await init()
    subscribe('live', 'subscription { forever { n } }')
    subscribe('wrong', query)
    await until(() => messages.some(({ id }) => id === 'wrong'))
    expect(messages.at(-1)).toMatchObject({ id: 'wrong', type: 'error', payload: [{ extensions: { code } }] })
    subscribe('next', '{ hello }')
    await until(() => messages.some(({ id, type }) => id === 'next' && type === 'complete'))
    expect(socket.readyState).toBe(socket.OPEN)
    expect(server.sources).toMatchObject({ opened: 1, closed: 0 })
  })

  test('an error in the midst of a stream ends it with its code', async () => {
    const { results, errors } = await run(connect(server), { query: 'subscription { failing { n } }' })
    expect(results).toHaveLength(1)
    expect(errors).toMatchObject([{ message: 'You are no longer a member.', extensions: { code: 'FORBIDDEN' } }])
  })

  test('an error in an event says nothing of the insides, and the stream goes on', async () => {
    const { results } = await run(connect(server), { query: 'subscription { ticks(count: 2) { n fail } }' })
    expect(results).toHaveLength(2)
    expect(results[1]).toMatchObject({
      data: { ticks: { n: 2, fail: null } },
      errors: [{ message: 'Something went wrong.', extensions: { code: 'INTERNAL' } }],
    })
    expect(JSON.stringify(results)).not.toContain('SELECT')
  })

  test('a client that completes, and one that vanishes, closes its sources', async () => {
    const { subscribe, init, say, socket } = await rawSocket(server)
    await init()
    subscribe('one', 'subscription { forever { n } }')
    subscribe('two', 'subscription { forever { n } }')
    subscribe('three', 'subscription { forever { n } }')
    await until(() => server.sources.opened === 3)
    say({ type: 'complete', id: 'two' })
    await until(() => server.sources.closed === 1)
    socket.terminate()
    await until(() => server.sources.closed === 3)
  })

  test('the log names the operation and holds nothing that was said', async () => {
    const query = 'query Greet($text: String!) { echo(text: $text) }'
    await run(connect(server, { connectionParams: { token: 'alice' } }), { query, variables: { text: 'a secret' } })
    const line = server.lines.find(({ msg }) => msg === 'operation')
    expect(line).toMatchObject({ name: 'Greet', type: 'query', transport: 'socket', userId: 'alice', errorCodes: [] })
    expect(JSON.stringify(server.lines)).not.toMatch(/a secret|"alice".*token/)
  })
})

describe('what a client that does not read can do', () => {
  test('the next event is taken only when the last one has left', async () => {
    await start({ limits: { maxUnsentBytes: 64 * 1024 * 1024 } })
    const { socket, subscribe, init, messages } = await rawSocket(server)
    await init()
    socket.pause()
    subscribe('flood', 'subscription { flood(bytes: 500000) { n blob } }')
    await until(() => server.sources.pulled > 1)
    let before = 0
    // The kernel takes some megabytes; then nothing moves.
    await until(() => before === (before = server.sources.pulled) && before > 1, 5_000)
    await new Promise((resolve) => setTimeout(resolve, 100))
    const stuckAt = server.sources.pulled
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(server.sources.pulled).toBe(stuckAt)
    expect(stuckAt).toBeLessThan(100)
    socket.resume()
    await until(() => messages.length > stuckAt + 5)
    expect(messages.slice(1).map(({ payload }) => payload.data.flood.n)).toEqual(messages.slice(1).map((_, i) => i + 1))
    socket.terminate()
  })

  test('a subscription that always has a next event lets others have their turn', async () => {
    await start()
    const { socket, subscribe, init } = await rawSocket(server)
    await init()
    subscribe('flood', 'subscription { flood(bytes: 1) { n } }')
    await until(() => server.sources.pulled > 1)
    const started = performance.now()
    await run(connect(server), { query: '{ hello }' })
    expect(performance.now() - started).toBeLessThan(1_000)
    socket.terminate()
    await until(() => server.sources.closed === 1)
  })

  test('one that stays stalled is closed with a code that is tried again, behind what it has not read', async () => {
    await start({ limits: { stalledBytes: 100_000, stalledMs: 100, sweepIntervalMs: 20, pingIntervalMs: 60_000 } })
    const [stalled, slow] = await Promise.all([rawSocket(server), rawSocket(server)])
    for (const { init, subscribe } of [stalled, slow]) {
      await init()
      subscribe('flood', 'subscription { flood(bytes: 500000) { n blob } }')
    }
    stalled.socket.pause()
    await until(() => server.look().stalled > 0)
    await until(() => server.lines.some(({ msg }) => msg === 'socket stays stalled'))
    stalled.socket.resume()
    expect([1006, 1013]).toContain((await stalled.closed).code)
    // Who reads, however much there is, stays.
    expect(slow.socket.readyState).toBe(slow.socket.OPEN)
    slow.socket.terminate()
    await until(() => server.look().unsentBytes === 0)
  })

  test('its own messages are not read, so that answers do not pile up', async () => {
    await start({ limits: { pauseReadingBytes: 100_000 } })
    const { socket, say, subscribe, init, messages } = await rawSocket(server)
    await init()
    socket.pause()
    const padding = '#'.repeat(5_000)
    for (let i = 0; i < 300; i++) subscribe(`${i}`, `{ blob(bytes: 500000) } ${padding}`)
    for (let i = 0; i < 10_000; i++) say({ type: 'ping' })
    await new Promise((resolve) => setTimeout(resolve, 300))
    const answered = () => server.lines.filter(({ msg }) => msg === 'operation').length
    expect(answered()).toBeLessThan(100)
    socket.resume()
    await until(() => answered() === 300)
    await until(() => messages.filter(({ type }) => type === 'pong').length === 10_000)
    expect(messages.some(({ type }) => type === 'error')).toBe(false)
    socket.terminate()
  })

  test('past the bound for unsent bytes the socket is let go', async () => {
    await start({ limits: { maxUnsentBytes: 1_000_000, pauseReadingBytes: 500_000 } })
    const { socket, subscribe, init, closed } = await rawSocket(server)
    await init()
    socket.pause()
    for (let i = 0; i < 40; i++) subscribe(`${i}`, 'subscription { flood(bytes: 300000) { n blob } }')
    await until(() => server.lines.some(({ msg }) => msg === 'socket does not read'))
    await until(() => server.sources.closed === server.sources.opened)
    socket.resume()
    expect((await closed).code).toBe(1006)
  })
})

describe('limits', () => {
  test('one operation too many is refused, and the socket and its operations stay', async () => {
    await start({ limits: { operationsPerSocket: 2 } })
    const { messages, subscribe, init, say, socket } = await rawSocket(server)
    await init()
    for (const id of ['1', '2', '3']) subscribe(id, 'subscription { forever { n } }')
    await until(() => messages.some(({ type }) => type === 'error'))
    expect(messages.at(-1)).toMatchObject({ id: '3', payload: [{ extensions: { code: 'RATE_LIMITED' } }] })
    say({ type: 'complete', id: '1' })
    await until(() => server.sources.closed === 1)
    subscribe('4', 'subscription { ticks(count: 1) { n } }')
    await until(() => messages.some(({ id, type }) => id === '4' && type === 'complete'))
    expect(socket.readyState).toBe(socket.OPEN)
  })

  test('a user has so many operations over all sockets, and gets them back', async () => {
    await start({ limits: { operationsPerUser: 2 } })
    const sockets = await Promise.all([rawSocket(server), rawSocket(server), rawSocket(server)])
    for (const { init } of sockets) await init({ token: 'alice' })
    sockets[0].subscribe('1', 'subscription { forever { n } }')
    sockets[1].subscribe('1', 'subscription { forever { n } }')
    await until(() => server.sources.opened === 2)
    sockets[2].subscribe('1', '{ hello }')
    await until(() => sockets[2].messages.length === 2)
    expect(sockets[2].messages[1]).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'RATE_LIMITED' } }] })
    sockets[0].socket.terminate()
    await until(() => server.sources.closed === 1)
    sockets[2].subscribe('2', '{ hello }')
    await until(() => sockets[2].messages.some(({ type }) => type === 'next'))
  })

  test('one socket too many of a user is closed with a code that is tried again', async () => {
    await start({ limits: { socketsPerUser: 2 } })
    const sockets = await Promise.all([rawSocket(server), rawSocket(server), rawSocket(server), rawSocket(server)])
    await sockets[0].init({ token: 'alice' })
    await sockets[1].init({ token: 'alice' })
    await sockets[2].init({ token: 'bob' })
    sockets[3].say({ type: 'connection_init', payload: { token: 'alice' } })
    expect(await sockets[3].closed).toEqual({ code: 1013, reason: 'Too many sockets for one user; try the public address' })
    sockets[0].socket.terminate()
    await sockets[0].closed
    const again = await rawSocket(server)
    await again.init({ token: 'alice' })
  })

  test('of too many sockets at once some are sent away with a code that is tried again, and all others are let in', async () => {
    const authenticate = async (userId: string) => {
      await new Promise((resolve) => setTimeout(resolve, 50))
      return { userId, sessionId: null, expiresAt: null }
    }
    await start({ authenticate, limits: { greetingsAtOnce: 1, maxWaitingSockets: 5 } })
    const sockets = await Promise.all(Array.from({ length: 12 }, () => rawSocket(server)))
    for (const { say } of sockets) say({ type: 'connection_init', payload: { token: 'alice' } })
    const outcomes = await Promise.all(
      sockets.map(({ messages, closed }) =>
        Promise.race([until(() => messages.some(({ type }) => type === 'connection_ack')).then(() => 'let in'), closed]),
      ),
    )
    const away = outcomes.filter((outcome) => outcome !== 'let in')
    expect(away.every((outcome) => (outcome as { code: number }).code === 1013)).toBe(true)
    expect(away.length).toBeGreaterThan(0)
    expect(away.length).toBeLessThanOrEqual(6)
    expect(server.look().waiting).toBe(0)
  })

  test('a frame that is too large closes the socket, and no other', async () => {
    await start({ limits: { maxFrameBytes: 10_000 } })
    const [large, other] = await Promise.all([rawSocket(server), rawSocket(server)])
    await other.init()
    large.say({ type: 'connection_init', payload: { x: 'x'.repeat(20_000) } })
    expect((await large.closed).code).toBe(1009)
    other.subscribe('1', '{ hello }')
    await until(() => other.messages.some(({ type }) => type === 'next'))
  })

  test('who does not say hello, or is nobody and does nothing, is closed', async () => {
    await start({ limits: { connectionInitTimeoutMs: 50, anonymousIdleMs: 200, sweepIntervalMs: 20 } })
    const silent = await rawSocket(server)
    expect((await silent.closed).code).toBe(4408)
    const [nobody, busy, alice] = await Promise.all([rawSocket(server), rawSocket(server), rawSocket(server)])
    for (const { init } of [nobody, busy]) await init()
    await alice.init({ token: 'alice' })
    busy.subscribe('1', 'subscription { forever { n } }')
    expect((await nobody.closed).code).toBe(4408)
    expect(busy.socket.readyState).toBe(busy.socket.OPEN)
    expect(alice.socket.readyState).toBe(alice.socket.OPEN)
  })

  test('a socket that answers no pings is given up, one that does is not', async () => {
    await start({ limits: { pingIntervalMs: 100, sweepIntervalMs: 20 } })
    const [dead, alive] = await Promise.all([rawSocket(server), rawSocket(server)])
    await dead.init({ token: 'alice' })
    await alive.init({ token: 'alice' })
    dead.socket.pause()
    await new Promise((resolve) => setTimeout(resolve, 400))
    dead.socket.resume()
    expect((await dead.closed).code).toBe(1006)
    expect(alive.socket.readyState).toBe(alive.socket.OPEN)
  })
})

describe('misbehaviour', () => {
  const nonsense = ['not json', '{"type":"nope"}', '{"type":"subscribe","id":1}', '[]', 'null']
  test.each(nonsense)('%s closes with 4400', async (text) => {
    await start()
    const { socket, closed } = await rawSocket(server)
    socket.send(text)
    expect((await closed).code).toBe(4400)
  })

  test('a message that only servers send closes with a code that is tried again', async () => {
    await start()
    const { say, init, closed } = await rawSocket(server)
    await init()
    say({ type: 'next', id: '1', payload: { data: {} } })
    expect((await closed).code).toBe(1013)
  })

  test('another subprotocol is refused with the code for it', async () => {
    await start()
    await expect(rawSocket(server, { protocol: 'graphql-ws' })).rejects.toThrow(/subprotocol/)
  })

  test('a context that cannot be made fails the operation, not the process', async () => {
    const unhandled = vi.fn()
    process.on('unhandledRejection', unhandled)
    await start({
      createContext: async () => {
        throw new TypeError('SELECT 1')
      },
    })
    const client = connect(server)
    const query = await run(client, { query: '{ hello }' })
    expect(query.results).toMatchObject([{ errors: [{ extensions: { code: 'INTERNAL' } }] }])
    const subscription = await run(client, { query: 'subscription { forever { n } }' })
    expect(subscription.errors).toMatchObject([{ message: 'Something went wrong.', extensions: { code: 'INTERNAL' } }])
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(unhandled).not.toHaveBeenCalled()
    process.off('unhandledRejection', unhandled)
  })
})
