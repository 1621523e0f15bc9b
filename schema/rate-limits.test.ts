import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from 'graphql-ws'
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { createMaruClient, SendMessageDocument, SignInDocument } from '../client-sdk/index.ts'
import { type Answer, post, send } from '../server/http/test-server.ts'
import { kinds } from '../server/rate-limits/kinds.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { schema } from './index.ts'
import { failure, newChannel, say } from './testing/operations.ts'

const generous = { RATE_LIMITS: 'on', RATE_LIMIT_SIGN_UP: 'off', RATE_LIMIT_SIGN_IN: 'off' }

let app: TestApp | undefined
let alice: Person
let bob: Person
afterEach(async () => {
  await app?.stop()
  app = undefined
})

/** Starts a server with these limits, on which alice and bob are signed up. Buckets fill so slowly that none does. */
async function start(env: Record<string, string>) {
  app = await startTestApp({ ...generous, ...env })
  alice = await app.signUp('alice')
  bob = await app.signUp('bob')
  return app
}

const codeOf = (answer: Answer) => answer.json.errors?.[0].extensions.code as string | undefined
const auth = ({ token }: Person) => ({ authorization: `Bearer ${token}` })
const modern = { accept: 'application/graphql-response+json' }
const sendMutation = 'mutation Send($c: ID!, $t: String!) { sendMessage(input: { channelId: $c, content: $t }) { message { seq } } }'

test('every field at the root has a kind: add a new one to schema/rate-limits.ts', () => {
  const roots = [schema.getQueryType()!, schema.getMutationType()!, schema.getSubscriptionType()!]
  for (const field of roots.flatMap((type) => Object.values(type.getFields()))) {
    expect(kinds, field.name).toContain((field.extensions.rateLimit as { kind: string } | undefined)?.kind)
  }
})

describe('over HTTP', () => {
  test('what is sent is counted for its user, and refused by 429 with how long to wait', async () => {
    const { url } = await start({ RATE_LIMIT_SEND: '6/3600/3' })
    const channelId = await newChannel(alice, {}, [bob])
    const sendAs = (person: Person, content: string) =>
      post(url, sendMutation, { ...auth(person), ...modern }, { c: channelId, t: content })
    for (let nth = 1; nth <= 3; nth++) {
      const answer = await sendAs(alice, `${nth}`)
      expect(answer.json).toEqual({ data: { sendMessage: { message: { seq: nth } } } })
      expect(answer.headers['ratelimit-policy']).toBe('"send";q=3;w=1800')
      expect(answer.headers.ratelimit).toMatch(new RegExp(`^"send";r=${3 - nth};t=(600|59\\d)$`))
      expect(answer.headers['retry-after']).toBeUndefined()
    }
    const refused = await sendAs(alice, 'too much')
    expect(refused.status).toBe(429)
    expect(codeOf(refused)).toBe('RATE_LIMITED')
    expect(refused.json.data).toBeUndefined()
    const { retryAfterMs } = refused.json.errors[0].extensions
    expect(retryAfterMs).toBeGreaterThan(500_000)
    expect(retryAfterMs).toBeLessThanOrEqual(601_000)
    expect(refused.headers['retry-after']).toBe(String(Math.ceil(retryAfterMs / 1_000)))
    expect(refused.headers.ratelimit).toMatch(/^"send";r=0;t=\d+$/)
    // What failed, and what was sent before, costs as much; bob has a bucket of his own.
    expect(codeOf(await sendAs(bob, ''))).toBe('BAD_USER_INPUT')
    expect((await sendAs(bob, 'hello')).headers.ratelimit).toContain('r=1')
    // Clients of old are told by the body alone.
    const old = await post(url, sendMutation, auth(alice), { c: channelId, t: 'too much' })
    expect([old.status, codeOf(old)]).toEqual([200, 'RATE_LIMITED'])
  })

  test('each field at the root costs, whatever it is called and wherever it stands, unless it is left out', async () => {
    const { url } = await start({ RATE_LIMIT_OTHER: '10/3600', RATE_LIMIT_SEARCH: '10/3600' })
    const left = async (query: string, variables = {}) => {
      const { headers } = await post(url, query, auth(alice), variables)
      return /"other";r=(\d+)/.exec(String(headers.ratelimit))?.[1]
    }
    expect(await left('{ viewer { id } }')).toBe('9')
    expect(await left('{ a: viewer { id } b: viewer { id } }')).toBe('7')
    expect(await left('{ viewer { id } viewer { username } ...F ...F } fragment F on Query { viewer { displayName } }')).toBe('6')
    expect(await left('{ ...F ... on Query { x: viewer { id } } } fragment F on Query { y: viewer { id } }')).toBe('4')
    const query = 'query Q($yes: Boolean!) { viewer { id } x: viewer @skip(if: $yes) { id } ...F @include(if: $yes) } fragment F on Query { y: viewer { id } }'
    expect(await left(query, { yes: true })).toBe('2')
    const both = await post(url, '{ viewer { id } publicChannels { edges { cursor } } }', auth(alice))
    expect(both.headers['ratelimit-policy']).toBe('"other";q=10;w=3600, "search";q=10;w=3600')
    expect(both.headers.ratelimit).toMatch(/^"other";r=1;t=\d+, "search";r=9;t=\d+$/)
    // All of it or nothing.
    expect(codeOf(await post(url, '{ a: viewer { id } b: viewer { id } publicChannels { edges { cursor } } }', auth(alice)))).toBe('RATE_LIMITED')
    const after = await post(url, '{ viewer { id } publicChannels { edges { cursor } } }', auth(alice))
    expect(after.headers.ratelimit).toMatch(/^"other";r=0;t=\d+, "search";r=8;t=\d+$/)
    const tooMuch = `{ ${Array.from({ length: 11 }, (_, nth) => `a${nth}: viewer { id }`).join(' ')} }`
    expect(codeOf(await post(url, tooMuch, auth(bob)))).toBe('QUERY_TOO_COMPLEX')
  })

  test('what cannot be understood counts too', async () => {
    const { url } = await start({ RATE_LIMIT_OTHER: '4/3600' })
    for (let nth = 0; nth < 4; nth++) expect(codeOf(await post(url, `{ nonsense${nth} }`, auth(alice)))).toBe('BAD_USER_INPUT')
    const refused = await post(url, '{ nonsense }', { ...auth(alice), ...modern })
    expect([refused.status, codeOf(refused)]).toEqual([429, 'RATE_LIMITED'])
  })

  test('whoever is not signed in is counted by address, of IPv6 by the network, as the trusted proxy says', async () => {
    const { url } = await start({ RATE_LIMIT_OTHER: '2/3600', TRUST_PROXY: '1' })
    const ask = async (address: string) => codeOf(await post(url, '{ viewer { id } }', { 'x-forwarded-for': `6.6.6.6, ${address}` }))
    expect([await ask('192.0.2.1'), await ask('192.0.2.1'), await ask('192.0.2.1')]).toEqual([undefined, undefined, 'RATE_LIMITED'])
    expect(await ask('::ffff:192.0.2.1')).toBe('RATE_LIMITED')
    expect(await ask('192.0.2.2')).toBeUndefined()
    for (const end of ['1', '2']) expect(await ask(`2001:db8:0:1::${end}`)).toBeUndefined()
    expect(await ask('2001:db8:0:1:ffff::3')).toBe('RATE_LIMITED')
    expect(await ask('2001:db8:0:2::3')).toBeUndefined()
  })

  test('accounts are made so many from one address', async () => {
    const { signUp } = await start({ RATE_LIMIT_SIGN_UP: '3/3600' })
    await signUp('carol')
    expect((await failure(signUp('dan'))).code).toBe('RATE_LIMITED')
  })

  test('wrong passwords are counted by name and address: nobody is locked out elsewhere, and right ones cost nothing', async () => {
    const { url } = await start({ RATE_LIMIT_SIGN_IN_FAILURE: '3/3600', TRUST_PROXY: '1' })
    const signIn = async (address: string, username: string, password: string) => {
      const query = 'mutation In($u: String!, $p: String!) { signIn(input: { username: $u, password: $p }) { viewer { id } } }'
      return codeOf(await post(url, query, { 'x-forwarded-for': address }, { u: username, p: password }))
    }
    for (let nth = 0; nth < 10; nth++) expect(await signIn('192.0.2.1', 'alice', 'alice’s password')).toBeUndefined()
    const guesses = await Promise.all(Array.from({ length: 10 }, (_, nth) => signIn('192.0.2.6', nth % 2 ? 'alice' : 'ALICE', `guess ${nth}`)))
    expect(guesses.filter((code) => code === 'UNAUTHENTICATED')).toHaveLength(3)
    expect(guesses.filter((code) => code === 'RATE_LIMITED')).toHaveLength(7)
    expect(await signIn('192.0.2.6', 'alice', 'alice’s password')).toBe('RATE_LIMITED')
    expect(await signIn('192.0.2.6', 'bob', 'bob’s password')).toBeUndefined()
    expect(await signIn('192.0.2.1', 'alice', 'alice’s password')).toBeUndefined()
    // Each alias is an attempt.
    const many = Array.from({ length: 3 }, (_, nth) => `a${nth}: signIn(input: { username: "bob", password: "guess ${nth}" }) { accessToken }`)
    expect(codeOf(await post(url, `mutation { ${many.join(' ')} }`, { 'x-forwarded-for': '192.0.2.7' }))).toBe('UNAUTHENTICATED')
    // The first guess ended it, so that the others were not made.
    expect(await signIn('192.0.2.7', 'bob', 'guess')).toBe('UNAUTHENTICATED')
  })

  test('a deletion is confirmed by so many passwords, however the name is spelt', async () => {
    const { url } = await start({ RATE_LIMIT_SIGN_IN_FAILURE: '3/3600' })
    const query = 'mutation Delete($u: String!, $p: String) { deleteAccount(username: $u, password: $p) }'
    const tryOut = async (username: string, password: string) => codeOf(await post(url, query, auth(alice), { u: username, p: password }))
    const spellings = ['alice', ' alice', 'ALICE', '@alice', '\t@Alice ', `${' '.repeat(100)}alice`, `alice${' '.repeat(300)}`]
    const codes = []
    for (const spelling of spellings) codes.push(await tryOut(spelling, 'a guess'))
    expect(codes).toEqual(spellings.map((_, nth) => (nth < 3 ? 'BAD_USER_INPUT' : 'RATE_LIMITED')))
    expect(await tryOut('alice', 'alice’s password')).toBe('RATE_LIMITED')
  })

  test('looks at short links are counted by address', async () => {
    const { url } = await start({ RATE_LIMIT_LINK: '2/3600' })
    const look = () => send(url.replace('/graphql', '/i/nobodyhasthiscode0000'))
    const statuses = [(await look()).status, (await look()).status]
    expect(statuses).not.toContain(429)
    const refused = await look()
    expect(refused.status).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(1_000)
    expect(refused.headers.ratelimit).toMatch(/^"link";r=0;t=\d+$/)
  })

  test('without limits there are none, and nothing is said of them', async () => {
    const { url } = await start({ RATE_LIMITS: 'off', RATE_LIMIT_OTHER: '1/3600' })
    for (let nth = 0; nth < 5; nth++) {
      const answer = await post(url, '{ viewer { id } }')
      expect([codeOf(answer), answer.headers.ratelimit, answer.headers['ratelimit-policy']]).toEqual([undefined, undefined, undefined])
    }
  })

  test('the metrics count what was taken and refused', async () => {
    const { metrics } = await start({ RATE_LIMIT_SEARCH: '2/3600' })
    const client = createMaruClient({ url: app!.url, token: () => alice.token })
    const search = { name: 'S', text: 'query S { publicChannels { edges { cursor } } }' }
    for (let nth = 0; nth < 2; nth++) await client.request(search, {})
    expect((await failure(client.request(search, {}))).code).toBe('RATE_LIMITED')
    const { body } = await metrics.render()
    expect(body).toContain('maru_rate_limits_total{kind="SEARCH",outcome="taken"} 2')
    expect(body).toContain('maru_rate_limits_total{kind="SEARCH",outcome="refused"} 1')
    expect(body).toContain('maru_rate_limits_away 0')
  })
})

describe('over sockets', () => {
  const socketUrl = () => app!.url.replace('http', 'ws')

  test('the same buckets count, and the socket stays open', async () => {
    const { url } = await start({ RATE_LIMIT_SEND: '6/3600/3' })
    const channelId = await newChannel(alice, {}, [bob])
    const client = createClient({ url: socketUrl(), webSocketImpl: WebSocket, connectionParams: { token: alice.token } })
    const ask = async (query: string, variables = {}) => (await client.iterate({ query, variables }).next()).value!
    const sendIt = async () => {
      const answer = ask(sendMutation, { c: channelId, t: 'hi' })
      return answer.then((value) => value.errors?.[0], (errors: { extensions: object }[]) => errors[0])
    }
    expect(await sendIt()).toBeUndefined()
    expect((await post(url, sendMutation, auth(alice), { c: channelId, t: 'hi' })).headers.ratelimit).toContain('r=1')
    expect(await sendIt()).toBeUndefined()
    expect((await sendIt())!.extensions).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) })
    expect((await ask('{ viewer { username } }')).data).toEqual({ viewer: { username: 'alice' } })
    await client.dispose()
  })

  /** Opens a socket and says who it is; gives how that ended. */
  function connect(token?: string): Promise<number | 'acknowledged'> {
    return new Promise((resolve) => {
      const socket = new WebSocket(socketUrl(), 'graphql-transport-ws')
      socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init', payload: token === undefined ? {} : { token } })))
      socket.on('message', () => {
        socket.close()
        resolve('acknowledged')
      })
      socket.on('unexpected-response', (_, response) => {
        expect(Number(response.headers['retry-after'])).toBeGreaterThan(100)
        resolve(response.statusCode!)
        socket.terminate()
      })
      socket.on('error', () => {})
      socket.on('close', (code) => resolve(code))
    })
  }

  test('an address opens so many, and is then refused by 429', async () => {
    await start({ RATE_LIMIT_CONNECT: '3/3600' })
    for (let nth = 0; nth < 3; nth++) expect(await connect()).toBe('acknowledged')
    expect(await connect(alice.token)).toBe(429)
  })

  test('a user opens so many, and is then closed with a code after which clients come back', async () => {
    await start({ RATE_LIMIT_CONNECT_USER: '2/3600' })
    for (let nth = 0; nth < 2; nth++) expect(await connect(alice.token)).toBe('acknowledged')
    expect(await connect(alice.token)).toBe(1013)
    expect(await connect(bob.token)).toBe('acknowledged')
  })
})

test('who waits as long as asked gets through', async () => {
  await start({ RATE_LIMIT_SEND: '2/1' })
  const channelId = await newChannel(alice)
  for (let nth = 0; nth < 8; nth++) {
    const attempt = alice.client.request(SendMessageDocument, { input: { channelId, content: 'hi' } })
    const wait = await attempt.then(() => 0, (error: { code: string; retryAfterMs: number }) => {
      expect(error.code).toBe('RATE_LIMITED')
      expect(error.retryAfterMs).toBeLessThanOrEqual(500 * 1.25 + 1)
      return error.retryAfterMs
    })
    await sleep(wait)
    if (wait > 0) await say(alice, channelId, 'now')
  }
})

test('signing in is counted on its own', async () => {
  await start({ RATE_LIMIT_SIGN_IN: '2/3600' })
  const signIn = () => app!.client().request(SignInDocument, { input: { username: 'alice', password: 'alice’s password' } })
  await signIn()
  await signIn()
  expect((await failure(signIn())).code).toBe('RATE_LIMITED')
})
