import { createClient } from 'graphql-ws'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type Answer, post, send } from '../server/http/test-server.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'

let app: TestApp
let alice: Person
afterEach(() => app.stop())

/** Starts a server with these limits, on which alice is signed up. Buckets fill so slowly that none does. */
async function start(env: Record<string, string>): Promise<void> {
  app = await startTestApp({ RATE_LIMITS: 'on', RATE_LIMIT_SIGN_UP: 'off', RATE_LIMIT_SIGN_IN: 'off', ...env })
  alice = await app.signUp('alice')
}

const codeOf = (answer: Answer) => answer.json.errors?.[0].extensions.code as string | undefined
const auth = () => ({ authorization: `Bearer ${alice.token}` })
const signIn = 'mutation In($p: String!) { signIn(input: { username: "alice", password: $p }) { viewer { username presence { status } } } }'

/** A body as it is. */
const postText = (body: string) =>
  send(app.url, { method: 'POST', headers: { 'content-type': 'application/json', ...auth() }, body })

const ask = (query: string, variables = {}, headers: Record<string, string> = auth()) => post(app.url, query, headers, variables)
const many = `{ ${Array.from({ length: 3 }, (_, nth) => `a${nth}: viewer { id }`).join(' ')} }`

test.each([
  ['asks for more than there ever is', 'QUERY_TOO_COMPLEX', () => ask(many)],
  ['has a directive that fails', 'BAD_USER_INPUT', () => ask('query Q($x: Boolean = true) { viewer @skip(if: $x) { id } }', { x: null })],
  ['comes with a token that is none', 'UNAUTHENTICATED', () => ask('{ viewer { id } }', {}, { authorization: 'Bearer x' })],
  ['is no JSON', undefined, () => postText('{nope')],
  ['has a query that is no text', undefined, () => postText('{"query":5}')],
])('what %s costs, too', async (_, code, comes) => {
  await start({ RATE_LIMIT_OTHER: '2/3600' })
  for (let nth = 0; nth < 2; nth++) {
    const answer = await comes()
    expect(code === undefined ? [answer.status, codeOf(answer)] : codeOf(answer)).toEqual(code ?? [400, 'BAD_USER_INPUT'])
  }
  const refused = await comes()
  expect(codeOf(refused)).toBe('RATE_LIMITED')
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(1_000)
  expect(refused.headers.ratelimit).toMatch(/^"other";r=0;t=\d+$/)
})

test('what is wrong below a field at the root says nothing of the password, which was right', async () => {
  await start({ RATE_LIMIT_SIGN_IN_FAILURE: '2/3600' })
  for (let nth = 0; nth < 4; nth++) {
    const { json } = await ask(signIn, { p: 'alice’s password' }, {})
    // Whoever signs in by an operation is not signed in for the rest of it.
    expect(json.errors[0]).toMatchObject({ path: ['signIn', 'viewer', 'presence'], extensions: { code: 'UNAUTHENTICATED' } })
  }
  const guesses = [codeOf(await ask(signIn, { p: 'a guess' }, {})), codeOf(await ask(signIn, { p: 'a guess' }, {})), codeOf(await ask(signIn, { p: 'a guess' }, {}))]
  expect(guesses).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'RATE_LIMITED'])
})

/** Asks over a socket; the code of what went wrong. */
async function overSocket(queries: (object & { query: string })[], token?: string): Promise<(string | undefined)[]> {
  const client = createClient({ url: app.url.replace('http', 'ws'), webSocketImpl: WebSocket, connectionParams: token === undefined ? {} : { token } })
  const codes: (string | undefined)[] = []
  for (const each of queries) {
    const errors = await client.iterate(each).next().then(({ value }) => value?.errors, (thrown: unknown) => thrown)
    codes.push((errors as { extensions: { code: string } }[] | undefined)?.[0]?.extensions.code)
  }
  await client.dispose()
  return codes
}

test('over sockets what cannot be understood, and tokens that are none, cost as much', async () => {
  await start({ RATE_LIMIT_OTHER: '2/3600' })
  const nonsense = Array.from({ length: 3 }, () => ({ query: '{ nonsense }' }))
  expect(await overSocket(nonsense, alice.token)).toEqual(['BAD_USER_INPUT', 'BAD_USER_INPUT', 'RATE_LIMITED'])
  const extensions = { headers: { authorization: 'Bearer x' } }
  const strangers = Array.from({ length: 3 }, () => ({ query: '{ viewer { id } }', extensions }))
  expect(await overSocket(strangers)).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'RATE_LIMITED'])
})

test('over sockets right passwords cost nothing either', async () => {
  await start({ RATE_LIMIT_SIGN_IN_FAILURE: '2/3600' })
  const query = 'mutation In($p: String!) { signIn(input: { username: "alice", password: $p }) { accessToken } }'
  const attempts = (p: string, times: number) => Array.from({ length: times }, () => ({ query, variables: { p } }))
  expect(await overSocket(attempts('alice’s password', 4))).toEqual([undefined, undefined, undefined, undefined])
  expect(await overSocket(attempts('a guess', 3))).toEqual(['UNAUTHENTICATED', 'UNAUTHENTICATED', 'RATE_LIMITED'])
})

test('pages of short links count for their visitor where they are signed in, and say so in their language', async () => {
  await start({ RATE_LIMIT_LINK: '1/3600', TRUST_PROXY: '1' })
  const look = (address: string, headers: Record<string, string> = {}) =>
    send(app.url.replace('/graphql', '/i/nobodyhasthiscode0000'), { headers: { 'x-forwarded-for': address, ...headers } })
  const cookie = { cookie: `maru_session=${alice.token}`, 'sec-fetch-site': 'none' }
  expect([(await look('192.0.2.1')).status, (await look('192.0.2.1')).status]).toEqual([404, 429])
  // Behind the same address, and then behind another one.
  expect((await look('192.0.2.1', cookie)).status).toBe(404)
  const refused = await look('192.0.2.2', { ...cookie, 'accept-language': 'ko' })
  expect([refused.status, refused.headers['content-language'], refused.headers['cache-control']]).toEqual([429, 'ko', 'private, no-store'])
  expect(refused.text).toContain('너무 자주 열었습니다')
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(1_000)
  expect((await look('192.0.2.1', { 'accept-language': 'en' })).text).toContain('That was too often')
})
