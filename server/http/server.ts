import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { GraphQLSchema } from 'graphql'
import type { Logger } from 'pino'
import type { ActiveSessions } from '../domain/active-channels.ts'
import { createAdmission } from '../fanout/returning/admission.ts'
import type { Gathering } from '../fanout/live/gathering.ts'
import type { TrustedProxies } from '../lib/trusted-proxies.ts'
import type { RateLimits } from '../rate-limits/rate-limits.ts'
import type { Viewer } from '../viewer.ts'
import type { Authenticate } from './authentication.ts'
import { callerOf } from './caller.ts'
import type { CreateContext } from './caller.ts'
import { createCoalescing } from './coalescing.ts'
import { createConnections } from './connections.ts'
import { createFilesRoute, defaultUploadMs, isFilesPath } from './files.ts'
import type { DiskFiles } from '../files/disk-files.ts'
import { formatError } from './format-error.ts'
import { createGraphQLOverHttp } from './graphql-over-http.ts'
import { createGraphQLOverSockets } from './graphql-over-sockets.ts'
import type { HttpLimits } from './limits.ts'
import type { MailPages } from './mail-links.ts'
import { createOperations } from './operations.ts'
import { createOrigins } from './origins.ts'
import { createRateLimiting } from './rate-limiting.ts'
import { createRecorder } from './recorder.ts'
import { createRoutes, routeOf } from './routes.ts'
import type { Readiness, Metrics } from './routes.ts'
import type { LinkedApps } from './short-links-apps.ts'
import type { ShortLinkPages } from './short-links.ts'
import { createSockets, refuseUpgrade } from './sockets.ts'
import { eventRequestId } from './socket-operation.ts'
import type { HttpTelemetry } from './telemetry.ts'
import { createWire } from './wire.ts'

export type HttpOptions = {
  schema: GraphQLSchema
  host: string
  /** 0 takes any that is free. */
  port: number
  /** The address that browsers see, where a proxy stands in front. */
  publicUrl: string | null
  /** Origins of other sites whose pages may use the API, such as `https://app.example.com`. */
  corsOrigins: string[]
  /** The proxies in front that name the client in `X-Forwarded-For`. Without one, clients could name any address. */
  trustProxy?: TrustedProxies
  /** Who may do how much; without it, everybody as much as they like. */
  rateLimits?: RateLimits
  limits: HttpLimits
  log: Logger
  telemetry: HttpTelemetry
  authenticate: Authenticate
  createContext: CreateContext
  /** Told of the sockets of each sign-in. */
  sessions?: ActiveSessions
  /** Files that this server itself takes and serves; absent where they are kept elsewhere. */
  files?: DiskFiles | undefined
  /** Answers what the links of mails lead to; absent where there is no mail. */
  mail?: MailPages | undefined
  /** Answers what short links lead to. */
  shortLinks?: ShortLinkPages | undefined
  /** Apps that open them by themselves. */
  apps?: LinkedApps | undefined
  /** The rounds in which events leave. */
  gathering: Gathering
  /** Whether the parts that the server stands on work, each by name. */
  ready(): Promise<Readiness>
  /** Null where metrics are off. */
  metrics: (() => Promise<Metrics>) | null
}

export type HttpServer = {
  /** Where it can be reached from this machine. */
  url: string
  port: number
  /**
   * Takes no new requests and sockets, finishes what is under way, and closes sockets a few at a time with a code that
   * clients connect again after. Whatever is left after `graceMs` is cut off.
   */
  drain(graceMs?: number): Promise<void>
  /**
   * What the sockets have to send, how many of them do not take it, how many wait to be let in, and how many different
   * answers an event may have.
   */
  look(): { unsentBytes: number; stalled: number; waiting: number; groups: number }
  /** Closes the sockets of all viewers that `match` picks, at once: their sessions were revoked. */
  closeSessions(match: (viewer: Viewer) => boolean, code?: number): void
}

const defaultGraceMs = 10_000

/** Serves the schema by HTTP and WebSocket, and GraphiQL, at `/graphql`; with health and metrics beside it. */
export async function startHttpServer(options: HttpOptions): Promise<HttpServer> {
  const { schema, publicUrl, limits, log, telemetry, authenticate, createContext } = options
  const operations = createOperations(schema, limits)
  const origins = createOrigins(publicUrl, options.corsOrigins)
  const recorder = createRecorder(log, telemetry)
  const connections = createConnections(limits, log, options.sessions)
  const wire = createWire({ gathering: options.gathering, limits, log })
  const coalescing = createCoalescing({
    operations,
    createContext,
    format: (error) => formatError(error, { requestId: eventRequestId(), log }),
    onExecuted: telemetry.onExecuted,
  })
  const admission = createAdmission({ atOnce: limits.greetingsAtOnce, maxWaiting: limits.maxWaitingSockets })
  const limiting = createRateLimiting(options.rateLimits)
  const said = { operations, limits, limiting, log, recorder, telemetry, authenticate, createContext }
  const common = { ...said, coalescing, admission, wire, origins, connections }
  const secureCookies = publicUrl?.startsWith('https:') ?? false
  const graphql = createGraphQLOverHttp({ ...common, secureCookies })
  const upgrade = createSockets({ ...common, isDraining: () => draining, protocol: createGraphQLOverSockets(common) })
  const underWay = new Set<ServerResponse>()
  let draining = false
  const ready = async () => (draining ? { ok: false, checks: { server: 'draining' } } : options.ready())
  const files = options.files === undefined ? undefined : createFilesRoute({ files: options.files, origins })
  const route = createRoutes({ origins, graphql, ready, files, mail: options.mail, limiting, shortLinks: options.shortLinks, apps: options.apps, metrics: options.metrics })
  const trustProxy = options.trustProxy ?? null
  const noteProxy = noticeProxies(options)

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const caller = callerOf(request, trustProxy)
    noteProxy(request)
    if (draining) response.setHeader('connection', 'close')
    response.once('close', () => telemetry.onRequest?.(routeOf(request), response.statusCode))
    if (files !== undefined && !isFilesPath(request.url)) timeRequest(request, response, limits.requestTimeoutMs)
    underWay.add(response)
    response.once('close', () => underWay.delete(response))
    route(request, response, caller).catch((error: unknown) => {
      log.error({ requestId: caller.requestId, err: error }, 'request failed')
      if (response.headersSent) response.destroy()
      else response.writeHead(500).end()
    })
  }

  const server = createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      // What an upload may take. Other requests have less: `timeRequest`.
      requestTimeout: files === undefined ? limits.requestTimeoutMs : defaultUploadMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      // Java's client offers h2c with every request, and takes an answer to what it has asked as a no.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
    },
    onRequest,
  )
  server.on('upgrade', (request, socket, head) => {
    // Whoever hangs up in the midst of this is gone; nobody else hears of it.
    socket.on('error', () => socket.destroy())
    if (draining) return refuseUpgrade(socket, '503 Service Unavailable')
    if (request.url?.split('?')[0] !== '/graphql') return refuseUpgrade(socket, '404 Not Found')
    void upgrade(request, socket, head, callerOf(request, trustProxy))
  })

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  server.on('error', (error) => log.error({ err: error }, 'http server'))
  const { port } = server.address() as AddressInfo

  return {
    port,
    url: `http://${reachableHost(options.host)}:${port}`,
    look: () => ({ ...connections.unsent(), waiting: admission.waiting(), groups: coalescing.size() }),
    closeSessions: connections.closeSessions,

    async drain(graceMs = defaultGraceMs) {
      if (draining) return
      draining = true
      const closed = new Promise((resolve) => server.close(resolve))
      // So that no client sends another request on a connection that is about to close.
      for (const response of underWay) if (!response.headersSent) response.setHeader('connection', 'close')
      const cutOff = setTimeout(() => server.closeAllConnections(), graceMs)
      await connections.drain(graceMs)
      await closed
      clearTimeout(cutOff)
    },
  }
}

/** Says once that limits by address are of little use, since all clients seem to have the address of one proxy. */
function noticeProxies({ trustProxy, rateLimits, log }: HttpOptions): (request: IncomingMessage) => void {
  let isToTell = trustProxy == null && rateLimits !== undefined && Object.values(rateLimits.rules).some((rule) => rule !== null)
  return ({ headers }) => {
    if (!isToTell || headers['x-forwarded-for'] === undefined) return
    isToTell = false
    log.warn('requests come through a proxy, and count as one address in rate limits: set TRUST_PROXY')
  }
}

/** Gives up a request that is not there as a whole in so many milliseconds. Most are when they are first heard of. */
function timeRequest(request: IncomingMessage, response: ServerResponse, ms: number): void {
  if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) return
  const timer = setTimeout(() => {
    if (response.headersSent) request.destroy()
    else response.writeHead(408, { connection: 'close' }).end(() => request.destroy())
  }, ms)
  const settle = () => clearTimeout(timer)
  request.once('end', settle).once('close', settle)
}

/** A name for this machine where the server listens on all of its addresses. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}
