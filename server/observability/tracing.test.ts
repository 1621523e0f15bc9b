import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { conflict } from '../errors.ts'
import { type Tracing, startTracing, withSpan } from './tracing.ts'

type Value = { stringValue?: string; intValue?: number }

type Span = {
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  status: { code: number; message?: string }
  attributes: { key: string; value: Value }[]
}

type Export = {
  resourceSpans: { resource: { attributes: Span['attributes'] }; scopeSpans: { spans: Span[] }[] }[]
}

/** A collector that keeps what it is sent: OTLP over HTTP, as in production. */
let collector: Server
let endpoint: string
let tracing: Tracing
let exports: { path: string; body: string }[]

beforeEach(async () => {
  exports = []
  tracing = { stop: async () => undefined }
  collector = createServer(async (request, response) => {
    exports.push({ path: `${request.method} ${request.url}`, body: await text(request) })
    response.setHeader('content-type', 'application/json').end('{}')
  })
  collector.listen(0, '127.0.0.1')
  await once(collector, 'listening')
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
})

afterEach(async () => {
  await tracing.stop()
  collector.closeAllConnections()
  collector.close()
})

const start = async (options: { share?: number } = {}) => {
  tracing = await startTracing({ endpoint, serviceName: 'maru-test', share: 1, ...options })
}

const parsed = () => exports.map(({ body }) => JSON.parse(body) as Export)

const sentSpans = () =>
  parsed().flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((s) => s.spans)))

const attributesOf = (span: { attributes: Span['attributes'] } | undefined) =>
  Object.fromEntries(span?.attributes.map(({ key, value }) => [key, Object.values(value)[0]]) ?? [])

test('an operation and its statements arrive at the collector as one trace', async () => {
  await start()
  const result = await withSpan('graphql mutation', { 'graphql.operation.name': 'Send' }, async () => {
    await sleep(1)
    return withSpan('store send', { 'db.query.summary': 'send', 'maru.batch.size': 3 }, () => sleep(1, 'acknowledged'))
  })
  expect(result).toBe('acknowledged')
  await tracing.stop()

  expect(exports.map(({ path }) => path)).toEqual(['POST /v1/traces'])
  expect(attributesOf(parsed()[0]?.resourceSpans[0]?.resource)).toMatchObject({ 'service.name': 'maru-test' })
  const [statement, operation] = sentSpans()
  expect(operation).toMatchObject({ name: 'graphql mutation' })
  expect(attributesOf(operation)).toEqual({ 'graphql.operation.name': 'Send' })
  expect(statement).toMatchObject({ name: 'store send', traceId: operation?.traceId, parentSpanId: operation?.spanId })
  expect(attributesOf(statement)).toEqual({ 'db.query.summary': 'send', 'maru.batch.size': 3 })
})

test('operations that run at once are traces of their own', async () => {
  await start()
  const operation = () =>
    withSpan('operation', {}, async () => {
      await sleep(5)
      await withSpan('statement', {}, () => sleep(1))
    })
  await Promise.all([operation(), operation(), operation()])
  await tracing.stop()
  const statements = sentSpans().filter(({ name }) => name === 'statement')
  expect(new Set(statements.map(({ traceId }) => traceId)).size).toBe(3)
  expect(new Set(statements.map(({ parentSpanId }) => parentSpanId)).size).toBe(3)
})

test('a failure is told by its code, and nothing that it quotes', async () => {
  await start()
  const failure = conflict('hunter2 is taken')
  await expect(withSpan('refused', {}, () => Promise.reject(failure))).rejects.toBe(failure)
  expect(() =>
    withSpan('broken', {}, () => {
      throw new TypeError('hunter2 is not a function')
    }),
  ).toThrow(TypeError)
  await tracing.stop()
  const [refused, broken] = sentSpans()
  expect(refused).toMatchObject({ name: 'refused', status: { code: 2 } })
  expect(attributesOf(refused)).toEqual({ 'error.type': 'CONFLICT' })
  expect(attributesOf(broken)).toEqual({ 'error.type': 'TypeError' })
  expect(JSON.stringify(exports)).not.toContain('hunter2')
})

test('what a client names is cut to a length', async () => {
  await start()
  withSpan('operation', { 'graphql.operation.name': 'x'.repeat(5_000) }, () => 7)
  await tracing.stop()
  expect(attributesOf(sentSpans()[0])['graphql.operation.name']).toBe('x'.repeat(100))
})

test('a share of 0 sends nothing', async () => {
  await start({ share: 0 })
  expect(withSpan('operation', {}, () => 7)).toBe(7)
  await tracing.stop()
  expect(exports).toEqual([])
})

test('a collector that never answers does not keep the process from ending', async () => {
  collector.removeAllListeners('request').on('request', () => undefined)
  await start()
  withSpan('operation', {}, () => 7)
  const started = performance.now()
  await tracing.stop()
  expect(performance.now() - started).toBeLessThan(4_000)
})

test('while it is off, the call is made as if nothing were there', () => {
  const promise = Promise.resolve(7)
  expect(withSpan('operation', {}, () => promise)).toBe(promise)
})

test('without an endpoint no code of the SDK is loaded', async () => {
  const script = `
    import { startTracing } from ${JSON.stringify(join(import.meta.dirname, 'tracing.ts'))}
    import { registerHooks } from 'node:module'
    registerHooks({ resolve(name, context, next) { console.log(name); return next(name, context) } })
    await startTracing({ endpoint: process.argv[1] ?? null, serviceName: 'maru', share: 1 })
    process.exit()`
  const loaded = async (...args: string[]) =>
    (await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, ...args])).stdout
  expect(await loaded()).toBe('')
  expect(await loaded(endpoint)).toContain('@opentelemetry/sdk-trace')
})
