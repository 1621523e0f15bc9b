import { stripVTControlCharacters } from 'node:util'
import { DrizzleQueryError } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { unavailable } from '../errors.ts'
import { createLog, requestIdFrom, requestLog } from './log.ts'

/** A log that keeps its lines. */
function keptLog(format: 'json' | 'pretty' = 'json') {
  const lines: string[] = []
  const log = createLog({ level: 'debug', format }, { write: (line) => void lines.push(line) })
  return { log, lines, last: () => JSON.parse(lines.at(-1)!) as Record<string, unknown> }
}

const leak = 'hunter2'

const privateThings = {
  authorization: `Bearer ${leak}`,
  Cookie: `session=${leak}`,
  'set-cookie': [leak],
  token: leak,
  accessToken: leak,
  refreshToken: leak,
  refresh_token: leak,
  tokens: [leak],
  password: leak,
  newPassword: leak,
  jwtSecret: leak,
  'x-api-key': leak,
  apiKey: leak,
  accesstoken: leak,
  content: leak,
  viewerDraft: leak,
  statusText: leak,
  body: leak,
  query: `mutation { send(content: "${leak}") }`,
  variables: { input: leak },
  parameters: [leak],
}

test('a line is JSON with level, time, message and fields', () => {
  const { log, last } = keptLog()
  log.info({ channelId: 'general', seq: 7 }, 'sent')
  expect(last()).toEqual({ level: 30, time: expect.any(Number), channelId: 'general', seq: 7, msg: 'sent' })
})

test('less than the level is left out', () => {
  const { log, lines } = keptLog()
  log.trace('nothing to see')
  expect(lines).toEqual([])
})

test.each(Object.entries(privateThings))('%s does not leak, at any depth, in fields or bindings', (name, value) => {
  const { log, lines } = keptLog()
  const thing = { [name]: value }
  log.info(thing, 'at the top')
  log.info({ request: thing }, 'below')
  log.info({ operations: [{ input: { message: thing } }] }, 'far below')
  log.info({ headers: new Map([[name, value]]) }, 'in a map')
  log.child(thing).info('bound')
  log.child({ socket: thing }).child({ deeper: thing }).info(thing, 'bound twice')
  expect(lines).toHaveLength(6)
  expect(lines.join()).not.toContain(leak)
  expect(lines.join()).toContain('[hidden]')
})

test('what only sounds private is kept', () => {
  const { log, last } = keptLog()
  log.info({ contentType: 'text/html', tokenCount: 3, context: 'worker', token: null, at: new Date(0) })
  expect(last()).toMatchObject({
    contentType: 'text/html',
    tokenCount: 3,
    context: 'worker',
    token: null,
    at: '1970-01-01T00:00:00.000Z',
  })
})

test('what is logged is not changed, and may refer to itself', () => {
  const { log, last } = keptLog()
  const input: Record<string, unknown> = { password: leak }
  input.self = input
  log.info(input)
  expect(input.password).toBe(leak)
  expect(JSON.stringify(last())).toContain('[deeper]')
})

test('an error is told with its code and its causes, and without what else hangs on it', () => {
  const { log, last, lines } = keptLog()
  const refused = Object.assign(new Error('null value in column "author"'), {
    code: '23502',
    detail: `Failing row contains (1, ${leak}).`,
    parameters: [leak],
  })
  log.error(unavailable(refused))
  expect(last()).toMatchObject({
    msg: 'The service is not available just now; try again.',
    err: { type: 'MaruError', code: 'UNAVAILABLE', cause: { code: '23502', message: 'null value in column "author"' } },
  })
  expect(JSON.stringify(last().err)).toContain('log.test.ts')
  expect(lines.join()).not.toContain(leak)
})

test('the parameters of a failed query do not leak through its message or stack', () => {
  const { log, lines } = keptLog()
  const failed = new DrizzleQueryError('insert into messages values ($1)', [`${leak}\n    at ${leak}`])
  log.error(failed)
  log.error({ err: failed }, 'send failed')
  log.warn({ cause: failed })
  expect(lines.join()).toContain('insert into messages')
  expect(lines.join()).toContain('log.test.ts')
  expect(lines.join()).not.toContain(leak)
})

test('the lines of a request bear its id', () => {
  const { log, last } = keptLog()
  requestLog(log, 'request-1').info('hello')
  expect(last()).toMatchObject({ requestId: 'request-1', msg: 'hello' })
})

test('a request id of a proxy is taken where it is harmless', () => {
  expect(requestIdFrom('4bf92f3577b34da6')).toBe('4bf92f3577b34da6')
  for (const offered of [undefined, null, '', 'short', 'two\nlines', 'x'.repeat(129)]) {
    expect(requestIdFrom(offered)).toMatch(/^[\da-f-]{36}$/)
  }
})

test('pretty lines are for people', () => {
  const { log, lines } = keptLog('pretty')
  log.warn({ channelId: 'general', seq: 7 }, 'late')
  log.error(new Error('boom', { cause: new Error('fuse') }))
  const [warning, failure] = lines.map((line) => stripVTControlCharacters(line))
  expect(warning).toMatch(/^\d\d:\d\d:\d\d {2}WARN late channelId="general" seq=7\n$/)
  expect(failure).toMatch(/^\S+ ERROR boom\n {2}Error: boom\n {6}at .*\n {2}caused by\n {2}Error: fuse\n/s)
})
