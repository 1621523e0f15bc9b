import { createBudget } from '../schema/budget.ts'
import { schema } from '../schema/index.ts'
import type { Context } from '../schema/context.ts'
import { createLoaders, createViewerLoaders } from '../schema/loaders.ts'
import type { App } from './app.ts'
import type { Config } from './config.ts'
import { type EndedSession, watchEndedSessions, wholeAccount } from './domain/ended-sessions.ts'
import { defaultPageSize, maxPageSize } from './domain/history.ts'
import { topics } from './fanout/topics.ts'
import { createEventLoaders } from './event-loaders.ts'
import { defaultLimits } from './http/limits.ts'
import { createMailPages } from './http/mail-links.ts'
import { createShortLinkPages } from './http/short-links.ts'
import { type HttpServer, startHttpServer } from './http/server.ts'
import { createMailLinks } from './lib/mail-links.ts'
import type { Log } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import { explainListenFailure } from './start-error.ts'

/** What an answer for everybody is made without. A field that asks all the same has to be marked, and fails until then. */
const nobody = new Proxy({} as never, {
  get() {
    throw new Error('This field looks at the viewer, and is not marked as one that does')
  },
})
const forEverybody = { viewer: nobody, own: nobody }

/** Serves an app's schema by HTTP and WebSocket. Throws a StartError where it cannot listen. */
export async function serveApp(app: App, { config, log, metrics }: { config: Config; log: Log; metrics: Metrics }): Promise<HttpServer> {
  const { services, streams } = app

  const eventLoaders = createEventLoaders(services)
  const server = await startHttpServer({
    schema,
    host: config.http.host,
    port: config.http.port,
    publicUrl: config.http.publicUrl,
    corsOrigins: [...config.http.corsOrigins],
    trustProxy: config.http.trustProxy,
    rateLimits: app.rateLimits,
    limits: {
      ...defaultLimits,
      defaultPageSize,
      maxPageSize,
      maxBodyBytes: config.http.maxRequestBytes,
      maxFrameBytes: config.http.maxRequestBytes,
      socketsPerUser: config.http.maxSocketsPerUser,
      operationsPerUser: config.http.maxSubscriptionsPerUser,
    },
    log,
    authenticate: services.sessions.authenticate,
    sessions: services.activeChannels,
    files: app.diskFiles,
    mail: config.mail === null ? undefined : createMailPages({ links: createMailLinks(app), settings: services.settings }),
    shortLinks: createShortLinkPages({
      links: services.shortLinks,
      users: services.users,
      settings: services.settings,
      authenticate: services.sessions.authenticate,
      appUrl: config.http.appUrl,
    }),
    apps: config.http.apps,
    gathering: streams.gathering,
    createContext: ({ viewer, event, ip, startCookieSession, endCookieSession }): Context => ({
      services,
      ip,
      streams,
      loaders: event === undefined ? createLoaders(services) : eventLoaders.shared(event),
      spend: createBudget(),
      startCookieSession,
      endCookieSession,
      ...(event?.isShared === true ? forEverybody : { viewer, own: event === undefined ? createViewerLoaders(services, viewer) : eventLoaders.own(event, viewer) }),
    }),
    ready: app.ready,
    metrics: config.metrics ? metrics.render : null,
    telemetry: {
      onRequest: (route, status) => metrics.httpRequests.inc({ route, status }),
      onOperation({ type, durationMs, errorCodes }) {
        const label = type ?? 'unknown'
        metrics.operations.inc({ type: label, code: errorCodes[0] ?? 'OK' })
        metrics.operationSeconds.observe({ type: label }, durationMs / 1_000)
      },
      onSubscribe: (field) => metrics.subscriptionsActive.inc({ field }),
      onComplete: (field) => metrics.subscriptionsActive.dec({ field }),
      onExecuted: () => metrics.eventsExecuted.inc(),
      onDelivered: (count) => metrics.eventsDelivered.inc(count),
      onSocketOpen() {
        metrics.socketsOpen.inc()
        app.replicas.opened()
      },
      onSocketClose() {
        metrics.socketsOpen.dec()
        app.replicas.closed()
      },
    },
  }).catch((error: unknown) => {
    throw explainListenFailure(error, config.http)
  })
  app.listening(server.port)
  metrics.watch({
    unsentBytes: () => server.look().unsentBytes,
    socketsStalled: () => server.look().stalled,
    socketsWaiting: () => server.look().waiting,
    coalescingGroups: () => server.look().groups,
  })

  function endSessions(ended: readonly EndedSession[]) {
    for (const { sessionId } of ended) services.sessions.noteEnded(sessionId)
    const gone = new Set(ended.map(({ userId, sessionId }) => `${userId} ${sessionId}`))
    server.closeSessions(({ userId, sessionId }) =>
      [sessionId, wholeAccount(userId)].some((ended) => ended !== null && gone.has(`${userId} ${ended}`)),
    )
  }
  await app.bus.subscribe(topics.sessions, (payload) => endSessions([JSON.parse(payload) as EndedSession]))
  // The bus may have lost the news.
  const watch = watchEndedSessions({
    database: app.database,
    onEnded: endSessions,
    onError: (error) => log.warn({ err: error }, 'will be tried again'),
  })
  app.bus.onGap(watch.check)
  metrics.watchReplicas(app.replicas.members)
  await app.replicas.join()
  return {
    ...server,
    async drain(graceMs) {
      // First of all nobody else is sent here.
      await app.replicas.drain()
      await server.drain(graceMs)
      await services.activeChannels.close()
      await services.shortLinks.close()
      watch.close()
    },
  }
}
