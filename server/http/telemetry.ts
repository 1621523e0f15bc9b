import type { OperationTypeNode } from 'graphql'

export type Transport = 'http' | 'socket'

/** How one operation went. For a subscription: how its opening went. */
export type OperationReport = {
  /** As the client wrote it, so any text: take care before making it a metric's label. */
  name: string | null
  /** Null where the document could not be understood. */
  type: OperationTypeNode | null
  transport: Transport
  durationMs: number
  /** The `extensions.code` of each error in the answer. */
  errorCodes: string[]
}

/** What the transports tell to whoever measures. Hooks are called synchronously and must not throw. */
export type HttpTelemetry = {
  /** A request was answered; the route is one that is known, or `other`. */
  onRequest?(route: string, status: number): void
  /** A query or mutation was answered, or a subscription opened or refused. */
  onOperation?(report: OperationReport): void
  /** A subscription of this field is live. */
  onSubscribe?(field: string): void
  /** A live subscription ended, for whatever reason. */
  onComplete?(field: string): void
  /** The answer to an event was made. */
  onExecuted?(name: string | null, durationMs: number): void
  /** So many answers to events were sent by one subscription that was not live. */
  onDelivered?(count: number): void
  onSocketOpen?(): void
  onSocketClose?(code: number): void
}
