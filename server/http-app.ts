import { createBudget } from '../schema/budget.ts'
import { schema } from '../schema/index.ts'
import type { Context } from '../schema/context.ts'
import { createLoaders, createViewerLoaders, type Loaders, type ViewerLoaders } from '../schema/loaders.ts'
import type { App } from './app.ts'
import type { Config } from './config.ts'
import type { EventArgs } from './http/caller.ts'
import { type EndedSession, watchEndedSessions } from './domain/ended-sessions.ts'
import { defaultPageSize, maxPageSize } from './domain/history.ts'
import { topics } from './fanout/topics.ts'
import { defaultLimits } from './http/limits.ts'
import { type HttpServer, startHttpServer } from './http/server.ts'
import type { Log } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import { explainListenFailure } from './start-error.ts'
import type { Viewer } from './viewer.ts'

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

  /** Whoever is told of an event shares what was loaded for it, as far as it is the same for everybody. */
  const sharedLoaders = new WeakMap<object, Loaders>()
  function loadersFor(event: EventArgs | undefined): Loaders {
    // The last one: what was loaded for it was loaded when all of them had happened.
    const last = event?.round.at(-1)
    if (typeof last !== 'object' || last === null) return createLoaders(services)
    // An inbox wraps what a channel's own stream tells as it is.
    const shared = 'change' in last && typeof last.change === 'object' && last.change !== null ? last.change : last
    const known = sharedLoaders.get(shared) ?? createLoaders(services)
    sharedLoaders.set(shared, known)
    return known
  }

  /** The same for what depends on the viewer: a round is of one group, and so of one viewer. */
  const ownLoaders = new WeakMap<object, ViewerLoaders>()
  function ownLoadersFor(viewer: Viewer | null, event: EventArgs | undefined): ViewerLoaders {
    if (event === undefined) return createViewerLoaders(services, viewer)
    const known = ownLoaders.get(event.round) ?? createViewerLoaders(services, viewer)
    ownLoaders.set(event.round, known)
    return known
  }

  const server = await startHttpServer({
    schema,
    host: config.http.host,
    port: config.http.port,
    publicUrl: config.http.publicUrl,
    corsOrigins: [...config.http.corsOrigins],
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
    gathering: streams.gathering,
    createContext: ({ viewer, event, startCookieSession, endCookieSession }): Context => ({
      services,
      streams,
      loaders: loadersFor(event),
      spend: createBudget(),
      startCookieSession,
      endCookieSession,
      ...(event?.isShared === true ? forEverybody : { viewer, own: ownLoadersFor(viewer, event) }),
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
      onSocketOpen: () => metrics.socketsOpen.inc(),
      onSocketClose: () => metrics.socketsOpen.dec(),
    },
  }).catch((error: unknown) => {
    throw explainListenFailure(error, config.http)
  })
  metrics.watch({
    unsentBytes: () => server.look().unsentBytes,
    socketsStalled: () => server.look().stalled,
    socketsWaiting: () => server.look().waiting,
    coalescingGroups: () => server.look().groups,
  })

  function endSessions(ended: readonly EndedSession[]) {
    for (const { sessionId } of ended) services.sessions.noteEnded(sessionId)
    const gone = new Set(ended.map(({ userId, sessionId }) => `${userId} ${sessionId}`))
    server.closeSessions((viewer) => viewer.sessionId !== null && gone.has(`${viewer.userId} ${viewer.sessionId}`))
  }
  await app.bus.subscribe(topics.sessions, (payload) => endSessions([JSON.parse(payload) as EndedSession]))
  // The bus may have lost the news.
  const watch = watchEndedSessions({
    database: app.database,
    onEnded: endSessions,
    onError: (error) => log.warn({ err: error }, 'will be tried again'),
  })
  app.bus.onGap(watch.check)
  return {
    ...server,
    async drain(graceMs) {
      await server.drain(graceMs)
      watch.close()
    },
  }
}
