import { Gauge, type Registry } from 'prom-client'

/**
 * What is not counted but looked at, when somebody asks for the metrics. Each reads 0 until a part that knows it is
 * running, so that a dashboard shows it from the start.
 */
const described = {
  socketsStalled: ['maru_sockets_stalled', 'Sockets that have not taken what was sent: their streams wait as cursors.'],
  unsentBytes: ['maru_sockets_unsent_bytes', 'What waits in this process to be taken by sockets.'],
  socketsWaiting: ['maru_sockets_waiting', 'New sockets that wait for their token to be looked at.'],
  streamsWatched: ['maru_streams_watched', 'Streams of channels and accounts that sockets of this replica watch.'],
  streamsReading: ['maru_streams_catching_up', 'Streams that read from the store what they have missed, one for each subscription and channel.'],
  coalescingGroups: ['maru_coalescing_groups', 'Different answers that an event may have here: documents with their variables, and viewers where they matter.'],
  audiences: ['maru_audiences', 'Coalescing groups, counted once for each channel that somebody in them is told of live.'],
  headLag: ['maru_heads_lag_seconds', 'Time since all watched streams were last compared with their heads in the store.'],
  busUp: ['maru_bus_up', '1 while news travels between replicas; else streams live on the comparison of heads.'],
  busShards: ['maru_bus_shards', 'Masters of the Redis Cluster that carries the bus; 1 for one Redis.'],
  busShardsUp: ['maru_bus_shards_up', 'Those of them by which news travels now.'],
  rateLimitsAway: ['maru_rate_limits_away', 'Share of rate limits, 0 to 1, that this process counts alone because Redis does not answer.'],
  admissionWaiting: ['maru_admission_waiting', 'Reads of those who come back that wait for their turn.'],
  jobsReady: ['maru_jobs_ready', 'Jobs that could be run now and wait for a worker, as this worker has counted last.'],
  jobsLaidAside: ['maru_jobs_laid_aside', 'Jobs that were tried as often as they may, and wait for an operator.'],
  admissionRunning: ['maru_admission_running', 'Reads of those who come back that are under way.'],
} as const satisfies Record<string, readonly [name: string, help: string]>

export type GaugeName = keyof typeof described

/** Says what a gauge reads from now on. */
export type Watch = (readings: Partial<Record<GaugeName, () => number>>) => void

/** Registers the gauges. */
export function createGauges(registers: Registry[]): Watch {
  const readings = new Map<string, () => number>()
  for (const [key, [name, help]] of Object.entries(described)) {
    const gauge: Gauge = new Gauge({ registers, name, help, collect: () => gauge.set(readings.get(key)?.() ?? 0) })
  }
  return (given) => {
    for (const [key, read] of Object.entries(given)) readings.set(key, read)
  }
}
