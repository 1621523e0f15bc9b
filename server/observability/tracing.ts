import { type Span, SpanStatusCode, type Tracer, context, diag, DiagLogLevel } from '@opentelemetry/api'
import { expectedFailure } from '../errors.ts'
import { withDeadline } from '../lib/deadline.ts'
import type { Log } from './log.ts'

/**
 * All that a span may say. The list is closed so that no content and no token can get in: names and numbers that the
 * code knows, and never the text of an operation, its variables or a statement's parameters.
 */
export type SpanAttributes = {
  'graphql.operation.type'?: 'query' | 'mutation' | 'subscription'
  /** Chosen by the client, and so cut where it is long. */
  'graphql.operation.name'?: string
  /** The name of a statement of the store. */
  'db.query.summary'?: string
  'maru.request.id'?: string
  'maru.batch.size'?: number
}

/** How long a stopping process waits for a collector to take the last spans. */
const LAST_EXPORT_MS = 3_000

/** A long name of an operation is still told from others by its first hundred characters. */
const LONGEST_ATTRIBUTE = 100

/** Null while nothing is traced: `withSpan` then costs one comparison. */
let tracer: Tracer | null = null

/**
 * Runs `fn` in a span of this name, which ends when the result is there or the promise has settled. Spans within it
 * become its children. A failure is recorded by its code alone, because messages may quote what somebody wrote.
 */
export function withSpan<Result>(name: string, attributes: SpanAttributes, fn: () => Result): Result {
  if (tracer === null) return fn()
  return tracer.startActiveSpan(name, { attributes }, (span) => {
    try {
      const result = fn()
      if (!(result instanceof Promise)) return end(span, result)
      return result.then(
        (value) => end(span, value),
        (error: unknown) => fail(span, error),
      ) as Result
    } catch (error) {
      return fail(span, error)
    }
  })
}

function end<Value>(span: Span, value: Value): Value {
  span.end()
  return value
}

function fail(span: Span, error: unknown): never {
  const type = expectedFailure(error)?.code ?? (error instanceof Error ? error.name : 'INTERNAL')
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR })
  span.end()
  throw error
}

export type TracingOptions = {
  /** The collector, without `/v1/traces`; null for no traces. */
  endpoint: string | null
  serviceName: string
  /** The share of operations that are traced, from 0 to 1. */
  share: number
}

export type Tracing = {
  /** Sends what is left, if the collector takes it within three seconds, and traces no more. */
  stop(): Promise<void>
}

/** Starts tracing for the whole process. Without an endpoint no code of OpenTelemetry's SDK is even loaded. */
export async function startTracing({ endpoint, serviceName, share }: TracingOptions, log?: Log): Promise<Tracing> {
  if (endpoint === null) return { stop: async () => undefined }

  const { BatchSpanProcessor, ParentBasedSampler, TraceIdRatioBasedSampler, TracerProvider } = await import(
    '@opentelemetry/sdk-trace'
  )
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http')
  const { AsyncLocalStorageContextManager } = await import('@opentelemetry/context-async-hooks')
  const { defaultResource, resourceFromAttributes } = await import('@opentelemetry/resources')

  if (log) diag.setLogger(diagnosticsTo(log), DiagLogLevel.WARN)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  const provider = new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': serviceName })),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) }),
    spanLimits: { attributeValueLengthLimit: LONGEST_ATTRIBUTE },
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url: `${endpoint}/v1/traces` }) })],
  })
  tracer = provider.getTracer('maru')

  const stop = async () => {
    tracer = null
    // Spans that nobody takes are lost; that must not keep the process from ending.
    await withDeadline(provider.shutdown(), LAST_EXPORT_MS).catch(() => undefined)
    context.disable()
    diag.disable()
  }
  let stopped: Promise<void> | null = null
  return { stop: () => (stopped ??= stop()) }
}

/** OpenTelemetry tells of a collector that is away, and of nothing else that an operator could act on. */
function diagnosticsTo(log: Log) {
  const nothing = () => undefined
  const warn = (message: string) => log.warn({ traces: message }, 'tracing has trouble')
  return { error: warn, warn, info: nothing, debug: nothing, verbose: nothing }
}
