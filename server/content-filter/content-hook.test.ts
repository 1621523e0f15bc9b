import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
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
type Answer = { status?: number; body: string } | null
let answer: Answer
let answerTo: (checked: Checked) => Answer
beforeAll(async () => {
  service = createServer((request, response) => {
    void text(request).then((body) => {
      asked.push({ headers: request.headers as Record<string, string>, body })
      const said = answerTo((JSON.parse(body) as { data: Checked }).data)
      if (said !== null) response.writeHead(said.status ?? 200, { 'content-type': 'application/json' }).end(said.body)
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
  answerTo = () => answer
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
  ['{"verdict":"refuse","reason":null}', { verdict: 'refuse', reason: 'This is not allowed here.' }],
  ['{"verdict":"refuse","reason":{"text":"no"}}', { verdict: 'refuse', reason: 'This is not allowed here.' }],
  ['{"verdict":"refuse","reason":"\\u200b"}', { verdict: 'refuse', reason: 'This is not allowed here.' }],
  ['{"verdict":"refuse","reason":"No\\u0000 insults\\ud800"}', { verdict: 'refuse', reason: 'No\ufffd insults\ufffd' }],
  [JSON.stringify({ verdict: 'refuse', reason: '🍵'.repeat(201) }), { verdict: 'refuse', reason: '🍵'.repeat(200) }],
  ['{"verdict":"replace","content":"***"}', { verdict: 'replace', content: '***' }],
])('%s is an answer', async (body, verdict) => {
  answer = { body }
  expect(await open().hook.check(message)).toEqual(verdict)
})

const none: [what: string, answer: Answer][] = [
  ['an error', { status: 500, body: '{"verdict":"allow"}' }],
  ['a redirect', { status: 302, body: '' }],
  ['nothing in it', { status: 204, body: '' }],
  ['no JSON', { body: 'allow' }],
  ['another verdict', { body: '{"verdict":"perhaps"}' }],
  ['a replacement without one', { body: '{"verdict":"replace"}' }],
  ['a verdict in capitals', { body: '{"verdict":"REFUSE"}' }],
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

describe('where it does not answer five times in a row', () => {
  /** Messages of so many people, one after the other. */
  const by = (people: number) => (nth: number): Checked => ({ ...message, authorId: String(36 + (nth % people)) })
  const contents = () => asked.map(({ body }) => (JSON.parse(body) as { data: Checked }).data.content)
  const probed = () => contents().filter((content) => content === 'Hello?').length

  test('for several people it is probed, and then not waited for, for a while', async () => {
    answer = { status: 500, body: '' }
    const { hook, errors } = open({ fails: 'open' })
    const messageOf = by(3)
    for (let nth = 0; nth < 10; nth++) expect(await hook.check(messageOf(nth))).toEqual({ verdict: 'allow' })
    expect(asked).toHaveLength(5 + 1)
    expect(JSON.parse(asked.at(-1)!.body).data).toEqual({ kind: 'MESSAGE', authorId: null, channelId: null, content: 'Hello?' })
    expect(errors).toHaveLength(5 + 1)
    const closed = open({ fails: 'closed' })
    for (let nth = 0; nth < 10; nth++) await expect(closed.hook.check(messageOf(nth))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(asked).toHaveLength(2 * (5 + 1))
  })

  test('what one says does not shut it out for others, however often', async () => {
    answer = { status: 500, body: '' }
    const { hook } = open({ fails: 'open' })
    for (let nth = 0; nth < 20; nth++) await hook.check({ ...message, content: 'poison' })
    expect([asked.length, probed()]).toEqual([20, 0])
    answer = { body: '{"verdict":"refuse"}' }
    expect(await hook.check({ ...message, authorId: '40', content: 'bad' })).toMatchObject({ verdict: 'refuse' })
  })

  test('what several say together does not either: the probe finds that it is there', async () => {
    answerTo = ({ content }) => (content === 'poison' ? { status: 500, body: '' } : { body: '{"verdict":"refuse"}' })
    const { hook } = open({ fails: 'open' })
    const messageOf = by(7)
    for (let nth = 0; nth < 21; nth++) await hook.check({ ...messageOf(nth), content: 'poison' })
    expect(probed()).toBe(4)
    expect(await hook.check({ ...message, authorId: '60', content: 'bad' })).toMatchObject({ verdict: 'refuse' })
    expect(contents().filter((content) => content === 'poison')).toHaveLength(21)
  })

  test('an answer in between begins the count anew', async () => {
    const { hook } = open({ fails: 'open' })
    for (let nth = 0; nth < 12; nth++) {
      answer = { status: nth % 5 === 4 ? 200 : 500, body: '{"verdict":"allow"}' }
      await hook.check(by(3)(nth))
    }
    expect([asked.length, probed()]).toEqual([12, 0])
  })

  test('because it cannot be reached it is not waited for, whoever it is', async () => {
    const gone = createServer()
    await new Promise<void>((resolve) => gone.listen(0, '127.0.0.1', resolve))
    const { port } = gone.address() as AddressInfo
    await new Promise((resolve) => gone.close(resolve))
    const { hook, errors } = open({ url: `http://127.0.0.1:${port}/`, fails: 'open' })
    for (let nth = 0; nth < 10; nth++) expect(await hook.check(message)).toEqual({ verdict: 'allow' })
    expect(errors).toHaveLength(5 + 1)
  })

  test('after a while it is probed before anybody waits for it, once for all who come at the same time', async () => {
    answer = { status: 500, body: '' }
    const { hook } = open({ fails: 'open' })
    for (let nth = 0; nth < 6; nth++) await hook.check(by(3)(nth))
    answerTo = ({ content }) => ({ body: content === 'Hello?' ? '{"verdict":"allow"}' : '{"verdict":"refuse"}' })
    asked.length = 0
    await expect.poll(async () => (await hook.check(message)).verdict, { timeout: 10_000, interval: 500 }).toBe('refuse')
    expect(contents()).toEqual(['Hello?', message.content])
    // The same where it is still away.
    answerTo = () => ({ status: 500, body: '' })
    for (let nth = 0; nth < 5; nth++) await hook.check(by(3)(nth))
    asked.length = 0
    const verdicts = await Promise.all([1, 2, 3].map((nth) => hook.check(by(3)(nth))))
    expect(verdicts.map(({ verdict }) => verdict)).toEqual(['allow', 'allow', 'allow'])
    expect(contents()).toEqual(['Hello?'])
  })
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
