import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { buildSchema, graphql, GraphQLError } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { type WebSocket, WebSocketServer } from 'ws'

const printedSchema = new URL('../../schema/schema.graphql', import.meta.url)

const alice = { __typename: 'User', id: 'alice', username: 'alice', displayName: 'Alice', avatarUrl: null, bot: false, deleted: false }
const account = alice.id
const createdAt = '2026-01-01T00:00:00.000Z'

type Frame = { type: string; id?: string; payload?: { variables?: Record<string, unknown>; authorization?: string } }

/**
 * As much of a Maru server as the client can tell: the printed schema over real HTTP and real sockets, channels that
 * hold nothing but numbered messages, tokens that expire when a test says so, and connections that break likewise.
 */
export class ToyServer {
  /** What clients sent over sockets, in order. */
  readonly frames: Frame[] = []
  /** The operations that came over HTTP, by name. */
  readonly requests: string[] = []
  /** What the next subscription fails with, instead of starting. */
  failNext: GraphQLError | undefined
  /** Answers to HTTP requests are held back until this resolves. */
  hold: Promise<void> = Promise.resolve()

  readonly #schema = buildSchema(readFileSync(printedSchema, 'utf8'))
  readonly #heads = new Map<string, number>()
  /** The account's stream: the viewer has joined these channels, one after the other. */
  readonly #joined: string[] = []
  readonly #changed = new EventEmitter().setMaxListeners(0)
  readonly #http = createServer()
  readonly #sockets = new WebSocketServer({ server: this.#http, path: '/graphql' })
  readonly #accessTokens = new Set<string>()
  readonly #refreshTokens = new Set<string>()
  #issued = 0

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/graphql`
  }

  async start(port = 0): Promise<this> {
    this.#http.on('request', async (request, response) => {
      const answer = await this.#answer(request)
      response.setHeader('content-type', 'application/graphql-response+json')
      response.end(JSON.stringify(answer))
    })
    this.#sockets.on('connection', (socket) => {
      socket.on('message', (data) => this.frames.push(JSON.parse(String(data))))
    })
    useServer<{ authorization?: string }, { socket: WebSocket }>(
      {
        schema: this.#schema,
        roots: { subscription: this.#subscriptions() },
        onConnect: ({ connectionParams, extra }) => {
          if (this.#isGood(connectionParams?.authorization)) return true
          extra.socket.close(4403, 'Token expired')
          return new Promise<never>(() => {})
        },
        onSubscribe: () => {
          const error = this.failNext
          this.failNext = undefined
          return error && [error]
        },
      },
      this.#sockets,
    )
    this.#http.listen(port, '127.0.0.1')
    await once(this.#http, 'listening')
    return this
  }

  async stop(): Promise<void> {
    this.breakConnections()
    this.#http.closeAllConnections()
    await new Promise((resolve) => this.#http.close(resolve))
  }

  /** One more message in the channel. */
  send(channelId: string): void {
    this.#heads.set(channelId, this.#head(channelId) + 1)
    this.#changed.emit('changed')
  }

  /** A channel that the viewer has just joined. */
  join(channelId: string): void {
    this.#heads.set(channelId, 0)
    this.#joined.push(channelId)
    this.#changed.emit('changed')
  }

  /** Cuts every connection, without the handshake of an orderly close. */
  breakConnections(): void {
    for (const socket of this.#sockets.clients) socket.terminate()
  }

  /** Stops reading and writing on every connection, without closing it: as when a network is gone. */
  freezeConnections(): void {
    for (const socket of this.#sockets.clients) {
      socket.pause()
      socket.send = () => {}
    }
  }

  closeConnections(code: number): void {
    for (const socket of this.#sockets.clients) socket.close(code)
  }

  /** A token as sign-in gives it. */
  issueTokens(lifetimeMs = 600_000) {
    const number = ++this.#issued
    const tokens = {
      accessToken: `access-${number}`,
      accessTokenExpiresAt: new Date(Date.now() + lifetimeMs).toISOString(),
      refreshToken: `refresh-${number}`,
    }
    this.#accessTokens.add(tokens.accessToken)
    this.#refreshTokens.add(tokens.refreshToken)
    return { ...tokens, viewer: alice }
  }

  /** No access token that was given so far is good any more, and the sockets opened with them close. */
  expireAccessTokens(): void {
    this.#accessTokens.clear()
    this.closeConnections(4403)
  }

  revokeRefreshTokens(): void {
    this.#refreshTokens.clear()
  }

  #head(channelId: string): number {
    return channelId === account ? this.#joined.length : (this.#heads.get(channelId) ?? 0)
  }

  /** Anonymous is good too: what needs a viewer is told apart in #answer. */
  #isGood(authorization: string | undefined): boolean {
    return authorization === undefined || this.#accessTokens.has(authorization.replace('Bearer ', ''))
  }

  async #answer(request: IncomingMessage): Promise<unknown> {
    const { query, operationName, variables } = (await json(request)) as {
      query: string
      operationName: string
      variables: Record<string, unknown>
    }
    this.requests.push(operationName)
    await this.hold
    if (!this.#isGood(request.headers.authorization)) return { errors: [error('UNAUTHENTICATED')] }
    return graphql({
      schema: this.#schema,
      source: query,
      variableValues: variables,
      rootValue: {
        viewer: request.headers.authorization ? alice : null,
        channel: ({ id }: { id: string }) => this.#channel(id),
        channels: ({ first, after }: { first: number; after: string | null }) => this.#channels(first, Number(after)),
        signIn: () => this.issueTokens(),
        signOut: ({ refreshToken }: { refreshToken: string }) => this.#refreshTokens.delete(refreshToken),
        refreshSession: ({ refreshToken }: { refreshToken: string }) => {
          if (this.#refreshTokens.delete(refreshToken)) return this.issueTokens()
          this.#refreshTokens.clear()
          throw error('UNAUTHENTICATED')
        },
        markRead: () => {
          throw error('BAD_USER_INPUT', { field: 'seq', retryAfterMs: 7 })
        },
      },
    })
  }

  #subscriptions() {
    return {
      messages: ({ channelId, after }: { channelId: string; after?: string }) =>
        this.#follow('messages', new Map([[channelId, after ? positionOf(after) : this.#head(channelId)]])),
      inbox: ({ after = [] }: { after?: string[] }) => this.#inbox(after),
      typing: ({ channelId }: { channelId: string }) =>
        this.#follow('typing', new Map([[channelId, this.#head(channelId)]])),
    }
  }

  #channel(id: string) {
    const lastSeq = this.#head(id)
    return { id, kind: 'PUBLIC', createdAt, firstSeq: 1, lastSeq, memberCount: 1, cursor: toCursor(id, lastSeq) }
  }

  #channels(first: number, from: number) {
    const edges = [...this.#heads.keys()].slice(from, from + first).map((id) => ({ node: this.#channel(id) }))
    return { edges, pageInfo: { hasNextPage: from + first < this.#heads.size, endCursor: String(from + first) } }
  }

  /** What the streams that are not named begin with is what comes from now on. */
  async *#inbox(after: string[]) {
    const positions = new Map(this.#heads).set(account, this.#joined.length)
    for (const cursor of after) positions.set(streamOf(cursor), positionOf(cursor))
    const synced = { __typename: 'SyncedEvent', stream: account, cursor: toCursor(account, positions.get(account)!) }
    yield* this.#missed('inbox', positions)
    yield { inbox: synced }
    yield* this.#follow('inbox', positions)
  }

  async *#follow(field: string, positions: Map<string, number>) {
    for (;;) {
      yield* this.#missed(field, positions)
      const isBehind = [...positions].some(([id, at]) => at < this.#head(id))
      if (!isBehind) await once(this.#changed, 'changed')
    }
  }

  *#missed(field: string, positions: Map<string, number>) {
    for (const [id, at] of positions) {
      for (let next = at + 1; next <= this.#head(id); next++) {
        positions.set(id, next)
        yield { [field]: id === account ? this.#joinedEvent(next, positions) : this.#messageEvent(id, next) }
      }
    }
  }

  #joinedEvent(number: number, positions: Map<string, number>) {
    const channelId = this.#joined[number - 1]!
    positions.set(channelId, 0)
    return {
      __typename: 'MembershipEvent',
      stream: account,
      cursor: toCursor(account, number),
      channel: this.#channel(channelId),
      user: alice,
      member: { user: alice, role: 'MEMBER', joinedAt: createdAt, lastReadSeq: 0 },
    }
  }

  #messageEvent(channelId: string, seq: number) {
    return {
      __typename: 'MessageEvent',
      stream: channelId,
      cursor: toCursor(channelId, seq),
      kind: 'CREATED',
      user: alice,
      typing: true,
      message: {
        id: `${channelId}/${seq}`,
        kind: 'USER',
        channel: { id: channelId },
        seq,
        version: 1,
        author: alice,
        content: `message ${seq}`,
        createdAt,
        replyCount: 0,
        mentions: [],
        reactions: [],
        attachments: [],
        linkPreviews: [],
      },
    }
  }
}

/** An error as Maru words it. */
export function error(code: string, extensions: Record<string, unknown> = {}): GraphQLError {
  return new GraphQLError(`It is ${code}.`, { extensions: { code, requestId: 'request-1', ...extensions } })
}

const toCursor = (stream: string, position: number) => `${stream}@${position}`
const streamOf = (cursor: string) => cursor.split('@')[0]!
const positionOf = (cursor: string) => Number(cursor.split('@')[1])
