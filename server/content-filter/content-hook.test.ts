import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { MaruError } from '../errors.ts'
import { createWordList } from '../lib/word-list.ts'
import { signWebhook } from '../push/webhook.ts'
import { type Checked, inTurn } from './content-filter.ts'
import { type ContentHookOptions, createContentHook } from './content-hook.ts'
import { createWordFilter } from './word-filter.ts'

/** A service as an operator would have it. */
let service: Server
let url: string
const secret = 'a secret that is a sentence'
type Asked = { headers: Record<string, string>; body: string }
const asked: Asked[] = []
/** What it answers; null for nothing. */
let answer: { status?: number; body: string } | null
beforeAll(async () => {
  service = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({ headers: request.headers as Record<string, string>, body })
      if (answer !== null) response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' }).end(answer.body)
    })
  })
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(service.address() as AddressInfo).port}/filter?for=maru`
})
afterAll(() => {
  service.closeAllConnections()
  service.close()
})
beforeEach(() => {
  asked.length = 0
  answer = { body: '{"verdict":"allow"}' }
})

function open(over: Partial<ContentHookOptions> = {}) {
  const errors: unknown[] = []
  const hook = createContentHook({ url, secret, timeoutMs: 5_000, fails: 'closed', onError: (error) => errors.push(error), ...over })
  onTestFinished(() => hook.close())
  return { hook, errors }
}

const message: Checked = { kind: 'MESSAGE', authorId: '36', channelId: '37', content: '안녕 "you"' }

test('it is asked as the docs say, and signs', async () => {
  const { hook } = open()
  await hook.check(message)
  await hook.check({ kind: 'USERNAME', authorId: null, channelId: null, content: 'alice' })
  const [first, second] = asked as [Asked, Asked]
  expect(JSON.parse(first.body)).toEqual({
    type: 'content.check',
    timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    data: { kind: 'MESSAGE', authorId: 'u10', channelId: 'c11', content: '안녕 "you"' },
  })
  expect(JSON.parse(second.body).data).toEqual({ kind: 'USERNAME', authorId: null, channelId: null, content: 'alice' })
  const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = first.headers
  expect(signature).toBe(signWebhook(secret, id!, at!, first.body))
  expect(second.headers['webhook-id']).not.toBe(id)
})

test.each([
  ['{"verdict":"allow"}', { verdict: 'allow' }],
  ['{"verdict":"allow","reason":7}', { verdict: 'allow' }],
  ['{"verdict":"refuse","reason":" No insults. "}', { verdict: 'refuse', reason: 'No insults.' }],
  ['{"verdict":"refuse","reason":""}', { verdict: 'refuse', reason: 'This is not allowed here.' }],
  ['{"verdict":"refuse"}', { verdict: 'refuse', reason: 'This is not allowed here.' }],
  ['{"verdict":"replace","content":"***"}', { verdict: 'replace', content: '***' }],
])('%s is an answer', async (body, verdict) => {
  answer = { body }
  expect(await open().hook.check(message)).toEqual(verdict)
})

const none: [what: string, answer: typeof answer][] = [
  ['an error', { status: 500, body: '{"verdict":"allow"}' }],
  ['a redirect', { status: 302, body: '' }],
  ['nothing in it', { status: 204, body: '' }],
  ['no JSON', { body: 'allow' }],
  ['another verdict', { body: '{"verdict":"perhaps"}' }],
  ['a replacement without one', { body: '{"verdict":"replace"}' }],
  ['a reason of a page', { body: JSON.stringify({ verdict: 'refuse', reason: 'x'.repeat(201) }) }],
  ['more than any message', { body: JSON.stringify({ verdict: 'replace', content: 'x'.repeat(2_600_000) }) }],
  ['silence', null],
]
test.each(none)('%s is no answer: it lets everything through, or nothing', async (_, given) => {
  answer = given
  const limits = { timeoutMs: given === null ? 50 : 5_000 }
  const closed = open({ ...limits, fails: 'closed' })
  await expect(closed.hook.check(message)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(closed.errors).toHaveLength(1)
  const wide = open({ ...limits, fails: 'open' })
  expect(await wide.hook.check(message)).toEqual({ verdict: 'allow' })
  expect(wide.errors).toHaveLength(1)
})

test('where it has not answered five times in a row it is not waited for, for a while', async () => {
  answer = { status: 500, body: '' }
  const { hook, errors } = open({ fails: 'open' })
  for (let nth = 0; nth < 10; nth++) expect(await hook.check(message)).toEqual({ verdict: 'allow' })
  expect(asked).toHaveLength(5)
  expect(errors).toHaveLength(5)
  const closed = open({ fails: 'closed' })
  for (let nth = 0; nth < 4; nth++) await expect(closed.hook.check(message)).rejects.toBeInstanceOf(MaruError)
  answer = { body: '{"verdict":"allow"}' }
  expect(await closed.hook.check(message)).toEqual({ verdict: 'allow' })
  // An answer in between begins the count anew.
  answer = { status: 500, body: '' }
  for (let nth = 0; nth < 4; nth++) await expect(closed.hook.check(message)).rejects.toBeInstanceOf(MaruError)
  expect(asked).toHaveLength(5 + 4 + 1 + 4)
})

test('an address or a secret that cannot be used is refused at the start', () => {
  expect(() => open({ url: 'filter' })).toThrow('Invalid URL')
  expect(() => open({ secret: 'whsec_c2hvcnQ=' })).toThrow(/secret/)
})

test('filters are asked in turn: the first to refuse decides, and each sees what the one before has put in place', async () => {
  const words = createWordFilter(createWordList('fool'))
  const { hook } = open()
  const both = inTurn([words, hook])
  expect(await both.check({ ...message, content: 'you fool' })).toMatchObject({ verdict: 'refuse' })
  expect(asked).toEqual([])
  expect(await both.check(message)).toEqual({ verdict: 'allow' })
  answer = { body: '{"verdict":"replace","content":"you fool"}' }
  expect(await both.check(message)).toEqual({ verdict: 'replace', content: 'you fool' })
  expect(await inTurn([hook, words]).check(message)).toMatchObject({ verdict: 'refuse' })
})
