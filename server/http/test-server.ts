import { request as httpRequest } from 'node:http'
import { buildSchema, isObjectType } from 'graphql'
import type { GraphQLFieldResolver, GraphQLSchema } from 'graphql'
import { createClient } from 'graphql-ws'
import type { Client, ClientOptions, SubscribePayload } from 'graphql-ws'
import { pino } from 'pino'
import { WebSocket } from 'ws'
import { MaruError, badInput, forbidden, unauthenticated, unavailable } from '../errors.ts'
import { createGathering } from '../fanout/live/gathering.ts'
import type { Viewer } from '../viewer.ts'
import type { ContextArgs } from './caller.ts'
import { defaultLimits } from './limits.ts'
import type { HttpLimits } from './limits.ts'
import { startHttpServer } from './server.ts'
import type { HttpOptions, HttpServer } from './server.ts'
import type { HttpTelemetry } from './telemetry.ts'

/** A schema with one field for each thing that can happen to an answer. */
const sdl = /* GraphQL */ `
  type Query {
    hello: String
    viewer: String
    requestId: String
    "A number that each context has for itself."
    context: Int
    echo(text: String!): String
    fail(how: String!): String
    required: String!
    wrongType: Int
    blob(bytes: Int!): String
    slow(ms: Int!): String
    channels(first: Int): ChannelConnection
    nodes(ids: [ID!]!): [Channel]
  }
  type ChannelConnection {
    edges: [ChannelEdge!]!
  }
  type ChannelEdge {
    node: Channel!
  }
  type Channel {
    name: String
    parent: Channel
    channels(first: Int, last: Int): ChannelConnection
    tags: [Channel!]
  }
  type Mutation {
    signIn(token: String!): Boolean
    signOut: Boolean
    slow(ms: Int!): String
  }
  type Subscription {
    ticks(count: Int!): Tick
    forever: Tick
    flood(bytes: Int!): Tick
    failing: Tick
    refused: Tick
  }
  type Tick {
    n: Int
    viewer: String
    context: Int
    blob: String
    fail: String
  }
`

type TestContext = ContextArgs & { number: number }
type Resolver = GraphQLFieldResolver<any, TestContext, any>

/** What happened to the sources of subscriptions. */
export type Sources = { opened: number; closed: number; pulled: number }

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

function failure(how: string): unknown {
  if (how === 'bug') return new TypeError('SELECT password FROM users')
  if (how === 'string') return 'SELECT password FROM users'
  if (how === 'input') return badInput('That name is taken.', 'input.name')
  if (how === 'unavailable') return unavailable(new Error('connect ECONNREFUSED 10.0.0.7:5432'))
  return new MaruError('RATE_LIMITED', 'Slow down.', { retryAfterMs: 1_500 })
}

function resolvers(sources: Sources): Record<string, Record<string, Resolver | { subscribe: Resolver }>> {
  /** A source as the services have them: it makes an event only when it is asked, and can be closed at any time. */
  function source(next: (n: number) => Promise<unknown>): AsyncIterable<unknown> {
    sources.opened++
    let n = 0
    let isClosed = false
    let close!: () => void
    const closed = new Promise<{ done: true; value: undefined }>((resolve) => {
      close = () => resolve({ done: true, value: undefined })
    })
    return {
      [Symbol.asyncIterator]: () => ({
        next() {
          sources.pulled++
          return Promise.race([next(++n).then((value) => ({ done: value === null, value })), closed])
        },
        async return() {
          if (!isClosed) sources.closed++
          isClosed = true
          close()
          return { done: true, value: undefined }
        },
      }),
    }
  }
  const never = new Promise<unknown>(() => {})
  return {
    Query: {
      hello: () => 'world',
      viewer: (_source, _args, { viewer }) => viewer?.userId ?? null,
      requestId: (_source, _args, { requestId }) => requestId,
      context: (_source, _args, { number }) => number,
      echo: (_source, { text }) => text,
      fail(_source, { how }) {
        throw failure(how)
      },
      required: () => null,
      wrongType: () => 'SELECT password FROM users',
      blob: (_source, { bytes }) => 'x'.repeat(bytes),
      slow: (_source, { ms }) => sleep(ms).then(() => 'done'),
    },
    Mutation: {
      signIn(_source, { token }, context) {
        context.startCookieSession(token, new Date(Date.now() + 60_000))
        return true
      },
      signOut(_source, _args, context) {
        context.endCookieSession()
        return true
      },
      slow: (_source, { ms }) => sleep(ms).then(() => 'done'),
    },
    Subscription: {
      ticks: { subscribe: (_s, { count }) => source(async (n) => (n > count ? null : { ticks: { n } })) },
      forever: { subscribe: () => source(() => never) },
      flood: { subscribe: (_s, { bytes }) => source(async (n) => ({ flood: { n, blob: 'x'.repeat(bytes) } })) },
      failing: {
        subscribe: () =>
          source(async (n) => {
            if (n > 1) throw forbidden('You are no longer a member.')
            return { failing: { n } }
          }),
      },
      refused: {
        subscribe() {
          throw forbidden('You are not a member.')
        },
      },
    },
    Tick: {
      viewer: (_source, _args, { viewer }) => viewer?.userId ?? null,
      context: (_source, _args, { number }) => number,
      fail() {
        throw failure('bug')
      },
    },
  }
}

function testSchema(sources: Sources): GraphQLSchema {
  const schema = buildSchema(sdl)
  for (const [typeName, fields] of Object.entries(resolvers(sources))) {
    const type = schema.getType(typeName)
    if (!isObjectType(type)) throw new Error(`no type ${typeName}`)
    for (const [name, resolver] of Object.entries(fields)) {
      Object.assign(type.getFields()[name]!, typeof resolver === 'function' ? { resolve: resolver } : resolver)
    }
  }
  // As the project's schema marks it: what depends on the viewer is not answered once for all.
  const tick = schema.getType('Tick')
  if (isObjectType(tick)) tick.getFields().viewer!.extensions = { dependsOnViewer: true }
  return schema
}

/** `alice` is a good token of alice, `alice+500` one that ends in 500 ms; `down` finds nobody who could say. */
async function authenticate(token: string): Promise<Viewer> {
  const [userId = '', lifetime] = token.split('+')
  if (userId === 'down') throw unavailable()
  if (userId === 'broken') throw new TypeError('cannot read properties of undefined')
  if (!['alice', 'bob', 'carol'].includes(userId)) throw unauthenticated('That token is not good.')
  const expiresAt = lifetime === undefined ? null : new Date(Date.now() + Number(lifetime))
  return { userId, sessionId: `session of ${userId}`, expiresAt }
}

export type TestServer = HttpServer & {
  sources: Sources
  /** Lines of the log. */
  lines: Array<Record<string, unknown>>
  contexts: ContextArgs[]
  graphql: string
  socketUrl: string
}

/** A started server over the schema above, with the default limits but for those given. */
export async function startTestServer(
  changes: Partial<Omit<HttpOptions, 'limits'>> & { limits?: Partial<HttpLimits>; telemetry?: HttpTelemetry } = {},
): Promise<TestServer> {
  const sources = { opened: 0, closed: 0, pulled: 0 }
  const lines: TestServer['lines'] = []
  const contexts: ContextArgs[] = []
  const server = await startHttpServer({
    schema: testSchema(sources),
    host: '127.0.0.1',
    port: 0,
    publicUrl: null,
    corsOrigins: [],
    log: pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line)) }),
    telemetry: {},
    authenticate,
    gathering: createGathering((error) => {
      throw error
    }),
    createContext(args) {
      contexts.push(args)
      return { ...args, number: contexts.length }
    },
    ready: async () => ({ ok: true, checks: { store: 'ok' } }),
    metrics: async () => ({ contentType: 'text/plain', body: 'up 1\n' }),
    ...changes,
    limits: { ...defaultLimits, ...changes.limits },
  })
  const graphql = `${server.url}/graphql`
  return { ...server, sources, lines, contexts, graphql, socketUrl: graphql.replace('http', 'ws') }
}

export type Answer = { status: number; headers: Record<string, string | string[] | undefined>; text: string; json: any }

/** One HTTP request with exactly these headers: `fetch` would not let a test pretend to be a browser. */
export function send(
  url: string,
  { method = 'GET', headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => {
        const isJson = response.headers['content-type']?.includes('json')
        const json = isJson ? JSON.parse(text) : undefined
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** Posts one operation. */
export function post(
  url: string,
  query: string,
  headers: Record<string, string> = {},
  variables?: Record<string, unknown>,
): Promise<Answer> {
  const body = JSON.stringify({ query, variables })
  return send(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })
}

/** The client that other people use, without its patience. */
export function connect(server: TestServer, options: Partial<ClientOptions> = {}): Client {
  return createClient({ url: server.socketUrl, webSocketImpl: WebSocket, retryAttempts: 0, ...options })
}

/** Runs one operation to its end: its results, and the errors if it ended with an error message. */
export async function run(client: Client, payload: SubscribePayload): Promise<{ results: any[]; errors: any }> {
  const results: any[] = []
  return new Promise((resolve) => {
    client.subscribe(payload, {
      next: (result) => results.push(result),
      error: (errors) => resolve({ results, errors }),
      complete: () => resolve({ results, errors: null }),
    })
  })
}

/** A socket without a client library: sends what it is told, and keeps what it hears. */
export async function rawSocket(
  server: TestServer,
  { headers = {}, protocol = 'graphql-transport-ws' }: { headers?: Record<string, string>; protocol?: string } = {},
) {
  const socket = new WebSocket(server.socketUrl, protocol, { headers })
  const messages: any[] = []
  socket.on('message', (data) => messages.push(JSON.parse(String(data))))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  const say = (message: object) => socket.send(JSON.stringify(message))
  return {
    socket,
    messages,
    closed,
    say,
    async init(payload?: object) {
      say({ type: 'connection_init', payload })
      await until(() => messages.some(({ type }) => type === 'connection_ack'))
    },
    subscribe: (id: string, query: string, extensions?: object) =>
      say({ type: 'subscribe', id, payload: { query, extensions } }),
  }
}

/** Waits until something holds. */
export async function until(holds: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${holds}`)
    await sleep(5)
  }
}
