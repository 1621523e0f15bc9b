import type { Config } from './config.ts'
import { type Core, createCore } from './core.ts'
import { accountSource } from './fanout/account-source.ts'
import { createAudiences } from './fanout/live/audience.ts'
import { channelSource } from './fanout/channel-source.ts'
import { createFeeds } from './fanout/feed.ts'
import { createGathering } from './fanout/live/gathering.ts'
import { createPresenceHub } from './fanout/streams/presence.ts'
import { createReturning } from './fanout/returning/returning.ts'
import { createSignalHub } from './fanout/streams/signals.ts'
import type { StreamDeps } from './fanout/streams/stream-deps.ts'
import { nextFrames } from './http/frames.ts'
import type { Log } from './observability/log.ts'
import type { Metrics } from './observability/metrics.ts'
import type { Store } from './store.ts'

/** Everything behind the transports. */
export type App = Core & {
  streams: StreamDeps
  ready(): Promise<{ ok: boolean; checks: Record<string, string> }>
}

type Surroundings = { config: Config; log: Log; metrics: Metrics }

/** A replica: everything that can be done, and those who listen. */
export async function createApp(surroundings: Surroundings, store: Omit<Store, 'maintenance' | 'close'>): Promise<App> {
  const { config, log, metrics } = surroundings
  const onError = (error: unknown) => log.warn({ err: error }, 'will be tried again')
  const core = await createCore(
    { ...surroundings, onChanges: (channelId, changes) => channelFeeds.tell(channelId, changes) },
    store,
  )
  const { database, messages: messageStore, bus, services, lease } = core

  const watched = {
    bus,
    onError,
    onMissed: () => metrics.catchUpReads.inc(),
    onCompared(milliseconds: number, behind: number) {
      metrics.headsPollSeconds.observe(milliseconds / 1_000)
      metrics.headsBehind.inc(behind)
    },
  }
  const channels = channelSource(messageStore)
  const accounts = accountSource(database)
  const { poolSize } = config.database
  const returning = createReturning({
    database,
    store: messageStore,
    channels,
    accounts,
    poolSize,
    onAdmitted: (milliseconds) => metrics.admissionSeconds.observe(milliseconds / 1_000),
  })
  const channelFeeds = createFeeds({ source: channels, openingHeads: returning.channels.heads, ...watched })
  const accountFeeds = createFeeds({ source: accounts, openingHeads: returning.accounts.heads, ...watched })
  const gathering = createGathering((error) => log.error({ err: error }, 'a round of sending failed'))
  const streams: StreamDeps = {
    database,
    bus,
    channels: { source: channels, feeds: channelFeeds, ...returning.channels },
    accounts: { source: accounts, feeds: accountFeeds, ...returning.accounts },
    admission: returning.admission,
    standings: returning.standings,
    gathering,
    signals: createSignalHub({ bus, standings: returning.standings, feeds: channelFeeds, onError }),
    presence: createPresenceHub({ bus, look: services.presence.look, visible: services.presence.visible, onError }),
    audiences: createAudiences({
      feeds: channelFeeds,
      gathering,
      frames: nextFrames,
      onError,
      onDelivered: (deliveries) => metrics.eventsDelivered.inc(deliveries),
    }),
  }
  metrics.watch({
    streamsWatched: () => streams.channels.feeds.size() + streams.accounts.feeds.size(),
    streamsReading: () => streams.audiences.reading,
    audiences: () => streams.audiences.size(),
    headLag: () => Math.max(streams.channels.feeds.lag(), streams.accounts.feeds.lag()) / 1_000,
    busUp: () => (bus.isUp() ? 1 : 0),
    busShards: () => bus.state().shards,
    busShardsUp: () => bus.state().shardsUp,
    admissionWaiting: returning.admission.waiting,
    admissionRunning: returning.admission.running,
  })

  return {
    ...core,
    streams,

    async ready() {
      const up = await database.run('select 1', []).then(
        () => true,
        () => false,
      )
      // Without the bus streams lag by a second and nothing fails: the replica stays in service, and says so.
      const leased = lease.isHeld()
      return {
        ok: up && leased,
        checks: { database: up ? 'up' : 'down', bus: bus.isUp() ? 'up' : 'down', lease: leased ? 'held' : 'lost' },
      }
    },

    async close() {
      await messageStore.drain()
      streams.channels.feeds.close()
      streams.accounts.feeds.close()
      returning.close()
      streams.presence.close()
      await core.close()
    },
  }
}
