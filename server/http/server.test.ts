import { connect as connectTcp } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { connect, post, rawSocket, run, send, startTestServer, until } from './test-server.ts'
import type { TestServer } from './test-server.ts'

let server: TestServer
const start = async (...args: Parameters<typeof startTestServer>) => (server = await startTestServer(...args))
afterEach(() => server.drain(0))

describe('what is where', () => {
  test('health, metrics, the way to GraphiQL, and nothing else', async () => {
    let ok = true
    await start({ ready: async () => ({ ok, checks: { store: ok ? 'ok' : 'unreachable' } }) })
    const get = (path: string) => send(server.url + path)
    expect(await get('/health/live')).toMatchObject({ status: 200, json: { ok: true } })
    expect(await get('/health/ready')).toMatchObject({ status: 200, json: { ok: true, checks: { store: 'ok' } } })
    ok = false
    expect(await get('/health/ready')).toMatchObject({ status: 503, json: { checks: { store: 'unreachable' } } })
    expect(await get('/health/live')).toMatchObject({ status: 200 })
    const metrics = { status: 200, text: 'up 1\n', headers: { 'content-type': 'text/plain' } }
    expect(await get('/metrics')).toMatchObject(metrics)
    expect(await get('/')).toMatchObject({ status: 302, headers: { location: '/graphql' } })
    for (const path of ['/health', '/graphql/x', '/graphqlx', '/favicon.ico', '//graphql', '/%']) {
      expect(await get(path)).toMatchObject({ status: 404, json: { errors: [{ extensions: { code: 'NOT_FOUND' } }] } })
    }
    expect(await send(`${server.url}/metrics`, { method: 'POST' })).toMatchObject({ status: 404 })
  })

  test('no answer can be framed, sniffed or stored', async () => {
    await start()
    for (const path of ['/', '/graphql?query={hello}', '/nothing']) {
      expect((await send(server.url + path)).headers).toMatchObject({
        'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
      })
    }
    expect((await post(server.graphql, '{ hello }')).headers['cache-control']).toBe('no-store')
  })

  test('a failing check or metric is an answer, not a crash', async () => {
    const fail = async () => {
      throw new TypeError('SELECT 1')
    }
    await start({ ready: fail, metrics: fail })
    expect(await send(`${server.url}/health/ready`)).toMatchObject({ status: 503 })
    expect(await send(`${server.url}/metrics`)).toMatchObject({ status: 500, text: '' })
  })
})

describe('requests', () => {
  test.each([
    ['a form', 'application/x-www-form-urlencoded', 'query={hello}'],
    ['plain text', 'text/plain', '{"query":"{ hello }"}'],
    ['multipart', 'multipart/form-data; boundary=x', '--x--'],
    ['a bare document', 'application/graphql', '{ hello }'],
    ['nothing', '', '{"query":"{ hello }"}'],
  ])('%s is not taken', async (_what, contentType, body) => {
    await start()
    const headers: Record<string, string> = contentType ? { 'content-type': contentType } : {}
    expect(await send(server.graphql, { method: 'POST', headers, body })).toMatchObject({ status: 415 })
    expect(server.contexts).toEqual([])
  })

  test('a GET may ask and not change', async () => {
    await start()
    const get = (query: string) => send(`${server.graphql}?query=${encodeURIComponent(query)}`)
    expect(await get('{ hello }')).toMatchObject({ status: 200, json: { data: { hello: 'world' } } })
    expect(await get('mutation { signOut }')).toMatchObject({ status: 405, headers: { allow: 'POST' } })
    expect(await get('query A { hello } mutation B { signOut }')).toMatchObject({ json: { errors: [{}] } })
    expect(await send(`${server.graphql}?query={hello}&variables={`)).toMatchObject({ status: 400 })
    for (const method of ['PUT', 'DELETE', 'PATCH']) {
      const answer = await send(server.graphql, { method })
      expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET, POST, OPTIONS' } })
    }
  })

  test('an offer of another protocol does not stand in the way', async () => {
    await start()
    const headers = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' }
    expect(await post(server.graphql, '{ hello }', headers)).toMatchObject({ json: { data: { hello: 'world' } } })
  })

  test('a host that is none is refused', async () => {
    await start()
    expect(await send(`${server.graphql}?query={hello}`, { headers: { host: ']][' } })).toMatchObject({ status: 400 })
  })

  test('a batch is refused', async () => {
    await start()
    const body = JSON.stringify([{ query: '{ hello }' }])
    const answer = await send(server.graphql, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    expect(answer).toMatchObject({ status: 400, json: { errors: [{ extensions: { code: 'BAD_USER_INPUT' } }] } })
  })

  test('the largest message fits, however it is escaped, and a larger body does not', async () => {
    await start()
    const text = '😀'.repeat(100_000)
    const query = 'query ($text: String!) { echo(text: $text) }'
    expect((await post(server.graphql, query, {}, { text })).json.data.echo).toBe(text)
    const escaped = `{"query":"${query}","variables":{"text":"${'\\ud83d\\ude00'.repeat(100_000)}"}}`
    const headers = { 'content-type': 'application/json' }
    expect((await send(server.graphql, { method: 'POST', headers, body: escaped })).json.data.echo).toBe(text)

    const tooLarge = JSON.stringify({ query, variables: { text: 'x'.repeat(2 * 1024 * 1024) } })
    const refused = { status: 413, json: { errors: [{ extensions: { code: 'PAYLOAD_TOO_LARGE' } }] } }
    expect(await send(server.graphql, { method: 'POST', headers, body: tooLarge })).toMatchObject(refused)
    const chunked = { ...headers, 'transfer-encoding': 'chunked' }
    expect(await send(server.graphql, { method: 'POST', headers: chunked, body: tooLarge })).toMatchObject(refused)
  })

  test('a subscription is told where to go', async () => {
    await start()
    for (const accept of ['application/json', 'text/event-stream', 'multipart/mixed']) {
      const { text } = await post(server.graphql, 'subscription { forever { n } }', { accept })
      expect(text).toContain('WebSocket')
    }
    expect(server.sources.opened).toBe(0)
  })

  test('a request id is given, or taken if it is one', async () => {
    await start()
    const idFor = async (headers: Record<string, string>) => {
      const answer = await post(server.graphql, '{ requestId }', headers)
      expect(answer.json.data.requestId).toBe(answer.headers['x-request-id'])
      return answer.headers['x-request-id']
    }
    expect(await idFor({})).toMatch(/^[0-9a-f]{32}$/)
    expect(await idFor({ 'x-request-id': 'from-the-proxy:1' })).toBe('from-the-proxy:1')
    expect(await idFor({ 'x-request-id': 'two words' })).not.toBe('two words')
    expect(await idFor({ 'x-request-id': 'x'.repeat(200) })).toHaveLength(32)
  })

  test('the address of a client is its own word only behind a proxy', async () => {
    await start()
    await post(server.graphql, '{ hello }', { 'x-forwarded-for': '1.2.3.4' })
    expect(server.contexts[0]?.ip).toBe('127.0.0.1')
    await server.drain(0)
    await start({ trustProxy: 1 })
    await post(server.graphql, '{ hello }', { 'x-forwarded-for': '6.6.6.6, 1.2.3.4' })
    expect(server.contexts[0]?.ip).toBe('1.2.3.4')
  })

  test('the log has a line for each operation, without what was said or who could say it', async () => {
    await start()
    const query = 'query Greet($text: String!) { echo(text: $text) }'
    await post(server.graphql, query, { authorization: 'Bearer alice' }, { text: 'a secret' })
    const lines = server.lines.filter(({ msg }) => msg === 'operation')
    expect(lines).toMatchObject([{ name: 'Greet', type: 'query', userId: 'alice', transport: 'http', errorCodes: [] }])
    expect(lines[0]?.requestId).toBe(server.contexts[0]?.requestId)
    expect(JSON.stringify(server.lines)).not.toMatch(/a secret|Bearer|echo/)
  })
})

describe('other sites', () => {
  const preflight = (origin: string) =>
    send(server.graphql, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    })

  test('none is allowed by default, whatever it says', async () => {
    await start()
    for (const origin of ['https://evil.example', 'null', server.url]) {
      for (const { headers } of [await preflight(origin), await post(server.graphql, '{ hello }', { origin })]) {
        expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
        expect(headers.vary).toBe('Origin')
      }
    }
  })

  test('a listed one is, without credentials', async () => {
    await start({ corsOrigins: ['https://app.example.com', 'https://other.example.com'] })
    const asked = await preflight('https://app.example.com')
    expect(asked).toMatchObject({
      status: 204,
      headers: {
        'access-control-allow-origin': 'https://app.example.com',
        'access-control-allow-methods': 'GET, POST, OPTIONS',
        'access-control-allow-headers': 'authorization, *',
        vary: 'Origin',
      },
    })
    expect(asked.headers['access-control-allow-credentials']).toBeUndefined()
    const answer = await post(server.graphql, '{ hello }', { origin: 'https://app.example.com' })
    expect(answer.headers).toMatchObject({ 'access-control-allow-origin': 'https://app.example.com', vary: 'Origin' })
    for (const origin of ['https://evil.example', 'http://app.example.com', 'https://app.example.com.evil.example']) {
      expect((await preflight(origin)).headers['access-control-allow-origin']).toBeUndefined()
    }
  })
})

describe('errors', () => {
  const errorOf = async (query: string, variables?: Record<string, unknown>) =>
    (await post(server.graphql, query, {}, variables)).json.errors[0]

  test('expected ones are told, unexpected ones are not', async () => {
    await start()
    expect(await errorOf('{ fail(how: "input") }')).toEqual({
      message: 'That name is taken.',
      locations: [{ line: 1, column: 3 }],
      path: ['fail'],
      extensions: { code: 'BAD_USER_INPUT', field: 'input.name', requestId: expect.any(String) },
    })
    expect(await errorOf('{ fail(how: "slow") }')).toMatchObject({
      extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_500 },
    })
    expect(await errorOf('{ fail(how: "unavailable") }')).toMatchObject({ extensions: { code: 'UNAVAILABLE' } })
    for (const query of ['{ fail(how: "bug") }', '{ fail(how: "string") }', '{ required }', '{ wrongType }']) {
      const error = await errorOf(query)
      expect(error).toMatchObject({ message: 'Something went wrong.', extensions: { code: 'INTERNAL' } })
      expect(JSON.stringify(error)).not.toMatch(/SELECT|10\.0\.0|stack|Error/)
      const { requestId } = error.extensions
      expect(server.lines).toContainEqual(expect.objectContaining({ requestId, level: 50, msg: 'unexpected error' }))
    }
  })

  test('those about a request say where it is wrong', async () => {
    await start()
    const wrong = { code: 'BAD_USER_INPUT' }
    expect(await errorOf('{ hello')).toMatchObject({ locations: [{ line: 1, column: 8 }], extensions: wrong })
    expect(await errorOf('{ hell }')).toMatchObject({ message: expect.stringContaining('"hello"'), extensions: wrong })
    expect(await errorOf('{ echo(text: 1) }')).toMatchObject({ extensions: wrong })
    const query = 'query ($text: String!) { echo(text: $text) }'
    const refused = await errorOf(query, { text: 1 })
    expect(refused).toMatchObject({ message: expect.stringContaining('$text'), extensions: wrong })
    expect(await errorOf('query A { hello } query B { hello }')).toMatchObject({ extensions: wrong })
  })
})

describe('draining', () => {
  test('finishes requests and answers under way, and asks all sockets to come again elsewhere', async () => {
    await start()
    const idle = await Promise.all(Array.from({ length: 20 }, () => rawSocket(server)))
    for (const { init } of idle) await init()
    const busy = await rawSocket(server)
    await busy.init()
    busy.subscribe('1', 'mutation { slow(ms: 300) }')
    const request = post(server.graphql, '{ slow(ms: 300) }')
    await until(() => server.contexts.length === 2)

    const closedAt: number[] = []
    for (const { closed } of idle) void closed.then(() => closedAt.push(performance.now()))
    const drained = server.drain(2_000)
    await expect(send(`${server.url}/health/live`)).rejects.toThrow('ECONNREFUSED')
    await expect(rawSocket(server)).rejects.toThrow('ECONNREFUSED')
    expect((await request).json).toEqual({ data: { slow: 'done' } })
    for (const { closed } of [...idle, busy]) expect(await closed).toEqual({ code: 1012, reason: 'Service restart' })
    expect(busy.messages).toContainEqual({ type: 'next', id: '1', payload: { data: { slow: 'done' } } })
    await drained
    expect(Math.max(...closedAt) - Math.min(...closedAt)).toBeGreaterThan(300)
  })

  test('says so on connections that are open already', async () => {
    await start()
    const connection = () => {
      const heard = { text: '' }
      const socket = connectTcp(server.port, '127.0.0.1')
      socket.on('data', (chunk) => (heard.text += chunk))
      return { heard, ask: (path: string) => socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`) }
    }
    const [busy, fresh] = [connection(), connection()]
    busy.ask('/graphql?query={slow(ms:150)}')
    await until(() => server.contexts.length === 1)
    const drained = server.drain(2_000)
    fresh.ask('/health/ready')
    await drained
    await until(() => busy.heard.text !== '')
    expect(busy.heard.text).toMatch(/200 OK.*connection: close/is)
    expect(fresh.heard.text).toMatch(/503 Service Unavailable.*connection: close.*draining/is)
  })

  test('cuts off what does not end', async () => {
    await start()
    const stuck = await rawSocket(server)
    await stuck.init()
    stuck.subscribe('1', '{ slow(ms: 60000) }')
    const request = post(server.graphql, '{ slow(ms: 60000) }').catch((error: Error) => error.message)
    await until(() => server.contexts.length === 2)
    const started = performance.now()
    await server.drain(200)
    expect(performance.now() - started).toBeLessThan(1_000)
    expect((await stuck.closed).code).toBe(1012)
    expect(await request).toMatch(/socket hang up|ECONNRESET/)
  })

  test('a client goes on at the next replica', async () => {
    await start()
    const old = server
    const next = await startTestServer()
    const urls = [old.socketUrl, next.socketUrl]
    const client = connect(old, { url: () => urls.shift()!, retryAttempts: 1, retryWait: async () => {} })
    const end = client.subscribe({ query: 'subscription { forever { n } }' }, { next() {}, error() {}, complete() {} })
    await until(() => old.sources.opened === 1)
    await old.drain(100)
    await until(() => next.sources.opened === 1)
    end()
    await next.drain(0)
  })
})

test('whoever measures is told', async () => {
  const told: unknown[] = []
  const tell = (what: string) => (...args: unknown[]) => void told.push([what, ...args])
  await start({
    telemetry: {
      onOperation: ({ name, type, errorCodes }) => told.push(['operation', name, type, errorCodes]),
      onSubscribe: tell('subscribe'),
      onComplete: tell('complete'),
      onExecuted: (name) => told.push(['executed', name]),
      onDelivered: (count) => told.push(['delivered', count]),
      onSocketOpen: tell('open'),
      onSocketClose: tell('close'),
    },
  })
  await post(server.graphql, 'query A { fail(how: "input") }')
  await post(server.graphql, '{')
  const client = connect(server)
  await run(client, { query: 'subscription B { ticks(count: 2) { n } }' })
  await client.dispose()
  await until(() => told.length === 11)
  expect(told).toEqual([
    ['operation', 'A', 'query', ['BAD_USER_INPUT']],
    ['operation', null, null, ['BAD_USER_INPUT']],
    ['open'],
    ['operation', 'B', 'subscription', []],
    ['subscribe', 'ticks'],
    ['executed', 'B'],
    ['delivered', 1],
    ['executed', 'B'],
    ['delivered', 1],
    ['complete', 'ticks'],
    ['close', 1000],
  ])
})
