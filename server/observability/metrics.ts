import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

import { createReplicaGauges } from '../replicas/gauges.ts'
import { createGauges } from './gauges.ts'

/*
 * Every metric of the project. Labels hold only what the code itself can name, such as the fields of the schema and
 * the statements of the store: what clients choose (operation names, channels, users) would grow without bound.
 */

export type Metrics = ReturnType<typeof createMetrics>

/** Seconds, from a look-up in memory to the deadline of a client. */
const OPERATION_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Seconds, from one indexed row on the same machine to a store that does not answer. */
const STATEMENT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** Messages: a batch is what gathered for one channel while the batch before it was being written. */
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128]

/** The metrics of one process on a registry of their own, so that a test can have several beside one another. */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]

  // Event-loop lag, memory, garbage collection, CPU and file descriptors, under the names that dashboards know.
  collectDefaultMetrics({ register: registry })

  return Object.freeze({
    httpRequests: new Counter({
      registers,
      name: 'maru_http_requests_total',
      help: 'HTTP requests answered. Route is one of the known paths or "other".',
      labelNames: ['route', 'status'] as const,
    }),
    operations: new Counter({
      registers,
      name: 'maru_operations_total',
      help: 'GraphQL operations, over HTTP and sockets. Code is OK or the ErrorCode of the first error.',
      labelNames: ['type', 'code'] as const,
    }),
    operationSeconds: new Histogram({
      registers,
      name: 'maru_operation_duration_seconds',
      help: 'Time from an operation to its result; for a subscription, until it is established.',
      labelNames: ['type'] as const,
      buckets: OPERATION_SECONDS,
    }),

    socketsOpen: new Gauge({
      registers,
      name: 'maru_sockets_open',
      help: 'WebSockets open now.',
    }),
    subscriptionsActive: new Gauge({
      registers,
      name: 'maru_subscriptions_active',
      help: 'Live subscriptions, by root field.',
      labelNames: ['field'] as const,
    }),
    eventsExecuted: new Counter({
      registers,
      name: 'maru_stream_events_executed_total',
      help: 'Answers to events that were made: one for each different one, however many get it.',
    }),
    eventsDelivered: new Counter({
      registers,
      name: 'maru_stream_events_delivered_total',
      help: 'Answers to events that were sent, each subscriber counted.',
    }),
    catchUpReads: new Counter({
      registers,
      name: 'maru_stream_catch_up_reads_total',
      help: 'Times that a stream read from the store what it had not been handed.',
    }),

    rateLimits: new Counter({
      registers,
      name: 'maru_rate_limits_total',
      help: 'Points taken of rate limits, and asked for and refused, by the kind of limit.',
      labelNames: ['kind', 'outcome'] as const,
    }),
    rateLimitErrors: new Counter({
      registers,
      name: 'maru_rate_limit_errors_total',
      help: 'Questions about rate limits that Redis did not answer, or not in time.',
    }),

    messagesSent: new Counter({
      registers,
      name: 'maru_messages_sent_total',
      help: 'Messages acknowledged, without those whose idempotency key had been seen.',
    }),
    sendBatchSize: new Histogram({
      registers,
      name: 'maru_send_batch_size',
      help: 'Messages written by one statement.',
      buckets: BATCH_SIZES,
    }),

    replicaReads: new Counter({
      registers,
      name: 'maru_replica_reads_total',
      help: 'Pages asked of the read replica: given by it, or by the primary as it was behind or had failed.',
      labelNames: ['outcome'],
    }),
    statementSeconds: new Histogram({
      registers,
      name: 'maru_store_statement_duration_seconds',
      help: 'Time of each statement in the store, waiting for a connection included.',
      labelNames: ['statement'] as const,
      buckets: STATEMENT_SECONDS,
    }),
    storeErrors: new Counter({
      registers,
      name: 'maru_store_errors_total',
      help: 'Statements that failed or did not answer in time.',
      labelNames: ['statement'] as const,
    }),

    busPublished: new Counter({
      registers,
      name: 'maru_bus_published_total',
      help: 'Changes given to the bus.',
    }),
    busPublishErrors: new Counter({
      registers,
      name: 'maru_bus_publish_errors_total',
      help: 'Changes that the bus did not take; they reach other replicas by the comparison of heads.',
    }),
    busReceived: new Counter({
      registers,
      name: 'maru_bus_received_total',
      help: 'Changes that came from the bus.',
    }),
    headsPollSeconds: new Histogram({
      registers,
      name: 'maru_heads_poll_duration_seconds',
      help: 'Time of each comparison of the watched streams with their heads in the store.',
      buckets: STATEMENT_SECONDS,
    }),

    headsBehind: new Counter({
      registers,
      name: 'maru_heads_found_behind_total',
      help: 'Streams that a comparison of heads has found behind the store: news of them was lost, or is on its way.',
    }),
    admissionSeconds: new Histogram({
      registers,
      name: 'maru_admission_wait_seconds',
      help: 'How long reads of those who come back have waited for their turn.',
      buckets: [...STATEMENT_SECONDS, 10, 30],
    }),

    jobSeconds: new Histogram({
      registers,
      name: 'maru_job_duration_seconds',
      help: 'Time of each attempt at a job, by its kind and how it ended.',
      labelNames: ['kind', 'outcome'] as const,
      buckets: [...STATEMENT_SECONDS, 15, 60],
    }),
    pushes: new Counter({
      registers,
      name: 'maru_pushes_total',
      help: 'What became of pushes, by platform: what providers said of attempts, and what was left out.',
      labelNames: ['platform', 'outcome'] as const,
    }),
    pushSeconds: new Histogram({
      registers,
      name: 'maru_push_delay_seconds',
      help: 'Time from when a message was sent until a provider had taken the push.',
      buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3_600],
    }),

    ...createReplicaGauges(registers),

    /** Says what the gauges read that are looked at when somebody asks. */
    watch: createGauges(registers),

    /** The answer to `GET /metrics`. */
    async render(): Promise<{ contentType: string; body: string }> {
      return { contentType: registry.contentType, body: await registry.metrics() }
    },
  })
}
