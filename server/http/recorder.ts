import type { GraphQLError } from 'graphql'
import type { Logger } from 'pino'
import type { Viewer } from '../viewer.ts'
import { errorCode } from './format-error.ts'
import type { Operation } from './operations.ts'
import type { HttpTelemetry, Transport } from './telemetry.ts'

/** Milliseconds after which people begin to wonder whether anything happens. */
const slowMs = 1_000

/** An operation that was answered; a subscription, when it was opened or refused. */
export type AnsweredOperation = {
  requestId: string
  viewer: Viewer | null
  /** Null where it was refused before it was understood. */
  operation: Operation | null
  transport: Transport
  /** By `performance.now()`. */
  started: number
  errors: readonly GraphQLError[] | undefined
}

/** Writes what happened to the log and tells whoever measures. */
export type Recorder = {
  operation(answered: AnsweredOperation): void
  readonly telemetry: HttpTelemetry
}

/** A recorder whose lines name operations, never their text, their variables or what they answered. */
export function createRecorder(log: Logger, telemetry: HttpTelemetry): Recorder {
  return {
    telemetry,
    operation({ requestId, viewer, operation, transport, started, errors = [] }) {
      const report = {
        name: operation?.name ?? null,
        type: operation?.type ?? null,
        transport,
        durationMs: performance.now() - started,
        errorCodes: errors.map(errorCode),
      }
      const durationMs = Math.round(report.durationMs * 10) / 10
      // A line for each would drown the others; what was answered slowly, or not, is worth one.
      const isOdd = report.errorCodes.length > 0 || report.durationMs >= slowMs
      log[isOdd ? 'info' : 'debug']({ requestId, userId: viewer?.userId, ...report, durationMs }, 'operation')
      telemetry.onOperation?.(report)
    },
  }
}
