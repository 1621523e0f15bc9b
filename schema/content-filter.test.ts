import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  CreateChannelDocument,
  DeleteMessageDocument,
  ScheduledMessagesDocument,
  ScheduleMessageDocument,
  SetPresenceDocument,
  SignUpDocument,
  UpdateChannelDocument,
  UpdateProfileDocument,
  UpdateScheduledMessageDocument,
} from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { edit } from './testing/blocks.ts'
import { inAnHour, silence } from './testing/moderation.ts'
import { bad, conflicting, failure, history, missing, newChannel, refusal, say } from './testing/operations.ts'

type Asked = { kind: string; authorId: string | null; channelId: string | null; content: string }

let folder: string
let app: TestApp
let service: Server
let alice: Person
let bob: Person
let tea: string
/** What the operator's service was asked, and what it says: a verdict, or null for an error. */
const asked: Asked[] = []
let verdict: (asked: Asked) => object | null
const allow = { verdict: 'allow' }
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'maru-test-words-'))
  await writeFile(join(folder, 'words.txt'), 'fool\n바보\n')
  service = createServer((request, response) => {
    void text(request).then((body) => {
      const { data } = JSON.parse(body) as { data: Asked }
      asked.push(data)
      const said = verdict(data)
      response.writeHead(said === null ? 500 : 200).end(JSON.stringify(said))
    })
  })
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
  verdict = () => allow
  app = await startTestApp({
    BLOCKED_WORDS_FILE: join(folder, 'words.txt'),
    CONTENT_HOOK_URL: `http://127.0.0.1:${(service.address() as AddressInfo).port}/`,
    CONTENT_HOOK_SECRET: 'a secret that is a sentence',
    CONTENT_HOOK_TIMEOUT_MS: '1000',
    CONTENT_HOOK_FAILS: 'closed',
  })
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(async () => {
  await app.stop()
  service.closeAllConnections()
  service.close()
  await rm(folder, { recursive: true })
})
beforeEach(async () => {
  verdict = () => allow
  tea = await newChannel(alice, {}, [bob])
  asked.length = 0
})

const contents = async () => (await history(alice, tea)).map(({ content }) => content)
const noInsults = (content: string) => (content.includes('idiot') ? { verdict: 'refuse', reason: 'No insults.' } : allow)
const gentle = (content: string) => ({ verdict: 'replace', content: content.replaceAll('idiot', 'friend') })

describe('messages', () => {
  test('with a word of the list are refused, and nobody else is asked', async () => {
    expect(await failure(say(alice, tea, 'You FOOL!'))).toMatchObject({
      code: 'BAD_USER_INPUT',
      field: 'input.content',
      message: 'This holds a word that is not allowed here.',
    })
    expect(await refusal(say(alice, tea, '이 바보들아'))).toEqual(bad('input.content'))
    expect(asked).toEqual([])
    const { id } = await say(alice, tea, 'foolish')
    expect(await refusal(edit(alice, id, 'fool'))).toEqual(bad('input.content'))
    expect(await contents()).toEqual(['foolish'])
  })

  test('are asked about, and refused with the operator’s reason, or stored otherwise', async () => {
    verdict = ({ content }) => noInsults(content)
    expect(await failure(say(alice, tea, 'you idiot'))).toMatchObject({ code: 'BAD_USER_INPUT', message: 'No insults.' })
    expect(asked).toEqual([{ kind: 'MESSAGE', authorId: alice.id, channelId: tea, content: 'you idiot' }])
    verdict = ({ content }) => gentle(content)
    const { id, content } = await say(alice, tea, '@bob you idiot')
    expect(content).toBe('@bob you friend')
    await edit(alice, id, '@bob, idiot!')
    expect(await contents()).toEqual(['@bob, friend!'])
  })

  test('that were stored stay: their retries give back what is there, whatever is said by now', async () => {
    verdict = ({ content }) => gentle(content)
    const replaced = await say(alice, tea, 'you idiot', { idempotencyKey: 'one' })
    verdict = () => allow
    const plain = await say(alice, tea, 'idiot again', { idempotencyKey: 'two' })
    const saysNow: (typeof verdict)[] = [
      () => allow,
      ({ content }) => noInsults(content),
      () => ({ verdict: 'replace', content: '***' }),
      () => null,
    ]
    for (const now of saysNow) {
      verdict = now
      expect((await say(alice, tea, 'you idiot', { idempotencyKey: 'one' })).id).toBe(replaced.id)
      expect((await say(alice, tea, 'idiot again', { idempotencyKey: 'two' })).id).toBe(plain.id)
      // What it says already may stay, where nothing else is to take its place.
      if (now !== saysNow[2]) await edit(alice, plain.id, 'idiot again')
    }
    verdict = ({ content }) => noInsults(content)
    expect(await refusal(say(alice, tea, 'another', { idempotencyKey: 'one' }))).toEqual(conflicting('input.idempotencyKey'))
    expect(await refusal(say(alice, tea, 'idiot', { idempotencyKey: 'three' }))).toEqual(bad('input.content'))
    expect((await history(alice, tea)).map(({ id }) => id)).toEqual([replaced.id, plain.id])
  })

  test('wait for a service that does not answer no longer than it may take, and are not stored', async () => {
    verdict = () => null
    expect((await failure(say(alice, tea, 'hello'))).code).toBe('UNAVAILABLE')
    verdict = () => allow
    await say(alice, tea, 'hello')
    expect(await contents()).toEqual(['hello'])
  })

  test('for which nothing is left, or too much, are refused', async () => {
    for (const content of ['', ' ', 'x'.repeat(100_001)]) {
      verdict = () => ({ verdict: 'replace', content })
      expect(await refusal(say(alice, tea, 'hello'))).toEqual(bad('input.content'))
    }
    expect(await contents()).toEqual([])
  })

  test('of others, or deleted, are not edited, and what should have been there is not shown to anybody', async () => {
    const { id } = await say(bob, tea, 'hello')
    const { id: gone } = await say(alice, tea, 'hello')
    await alice.client.request(DeleteMessageDocument, { messageId: gone })
    asked.length = 0
    expect((await failure(edit(alice, id, 'you idiot'))).code).toBe('FORBIDDEN')
    expect(await refusal(edit(alice, gone, 'you idiot'))).toEqual(conflicting('input.messageId'))
    expect(await refusal(edit(alice, `m${tea.slice(1)}_1`, 'you idiot'))).toEqual(missing('input.messageId'))
    expect(asked).toEqual([])
    expect(await contents()).toEqual(['hello', ''])
  })

  test('by who may not write are refused for that, and not shown to anybody', async () => {
    const stranger = await app.signUp(`stranger${tea.slice(-6)}`)
    asked.length = 0
    expect((await failure(say(stranger, tea, 'fool'))).code).toBe('FORBIDDEN')
    expect(asked).toEqual([])
  })
})

describe('scheduled messages', () => {
  const schedule = (content: string, idempotencyKey: string | null = null, sendAt = inAnHour()) =>
    alice.client.request(ScheduleMessageDocument, { input: { channelId: tea, content, sendAt, idempotencyKey } })
  const due = async (id: string) => {
    const { scheduledMessageId } = parseGlobalId(id) as { scheduledMessageId: string }
    const { userId } = parseGlobalId(alice.id) as { userId: string }
    const [row] = await app.app.database.run<{ send_at: Date }>(
      `update scheduled_messages set send_at = date_trunc('milliseconds', now() - interval '1 second')
       where user_id = $1 and id = $2 returning send_at`,
      [userId, scheduledMessageId],
    )
    await app.app.services.scheduledMessages.sendDue({ userId, id: scheduledMessageId, sendAt: row!.send_at.toISOString() })
  }

  test('are looked at as they are scheduled and changed, and as they are sent', async () => {
    verdict = ({ content }) => noInsults(content)
    expect(await refusal(schedule('idiot'))).toEqual(bad('input.content'))
    expect(await refusal(schedule('fool'))).toEqual(bad('input.content'))
    const { scheduleMessage } = await schedule('hello')
    const { id } = scheduleMessage
    const update = (content: string) => alice.client.request(UpdateScheduledMessageDocument, { input: { id, content } })
    asked.length = 0
    expect(await refusal(update('idiot'))).toEqual(bad('input.content'))
    expect(asked).toEqual([{ kind: 'MESSAGE', authorId: alice.id, channelId: tea, content: 'idiot' }])
    const others = bob.client.request(UpdateScheduledMessageDocument, { input: { id, content: 'mine' } })
    expect(await refusal(others)).toEqual(missing('input.id'))
    expect(asked).toHaveLength(1)
    verdict = () => allow
    await update('dear idiots')
    verdict = ({ content }) => noInsults(content)
    await due(id)
    expect(await contents()).toEqual([])
    const { scheduledMessages } = await alice.client.request(ScheduledMessagesDocument, { channelId: tea })
    expect(scheduledMessages).toMatchObject([{ content: 'dear idiots', failure: 'No insults.' }])
  })

  test('of who may not write there any more are not shown to anybody', async () => {
    const sendAt = inAnHour()
    const { scheduleMessage } = await bob.client.request(ScheduleMessageDocument, { input: { channelId: tea, content: 'hello', sendAt } })
    await silence(alice, tea, bob, inAnHour())
    asked.length = 0
    const input = { id: scheduleMessage.id, content: 'you idiot' }
    expect((await failure(bob.client.request(UpdateScheduledMessageDocument, { input }))).code).toBe('FORBIDDEN')
    expect(asked).toEqual([])
  })

  test('are sent with what takes their place, and scheduling them again gives back the same', async () => {
    const sendAt = inAnHour()
    verdict = ({ content }) => gentle(content)
    const first = await schedule('dear idiots', 'one', sendAt)
    verdict = ({ content }) => noInsults(content)
    expect(await schedule('dear idiots', 'one', sendAt)).toEqual(first)
    verdict = ({ content }) => gentle(content)
    await due(first.scheduleMessage.id)
    expect(await contents()).toEqual(['dear friends'])
  })
})

test('the text of a status is looked at', async () => {
  const set = (statusText: string) => alice.client.request(SetPresenceDocument, { status: 'AWAY', statusText })
  expect(await refusal(set('fool'))).toEqual(bad('statusText'))
  verdict = ({ content }) => noInsults(content)
  expect(await failure(set('idiots'))).toMatchObject({ code: 'BAD_USER_INPUT', message: 'No insults.' })
  expect(asked).toEqual([{ kind: 'STATUS_TEXT', authorId: alice.id, channelId: null, content: 'idiots' }])
  verdict = ({ content }) => gentle(content)
  expect((await set('idiots')).setPresence.statusText).toBe('friends')
  verdict = () => ({ verdict: 'replace', content: 'x'.repeat(101) })
  expect(await refusal(set('hello'))).toEqual(bad('statusText'))
})

describe('names', () => {
  test('of people are looked at as they sign up and call themselves something else', async () => {
    const signUp = (input: { username: string; displayName?: string }) =>
      app.client().request(SignUpDocument, { input: { password: 'long enough', ...input } })
    expect(await refusal(signUp({ username: 'fool' }))).toEqual(bad('input.username'))
    expect(await refusal(signUp({ username: 'clown', displayName: 'The Fool' }))).toEqual(bad('input.displayName'))
    verdict = ({ kind, content }) => (kind === 'DISPLAY_NAME' ? gentle(content) : allow)
    expect((await signUp({ username: 'clown', displayName: 'idiot' })).signUp.viewer.displayName).toBe('friend')
    const rename = (displayName: string) => bob.client.request(UpdateProfileDocument, { input: { displayName } })
    expect((await rename('Big idiot')).updateProfile.displayName).toBe('Big friend')
    expect(await refusal(rename('Big fool'))).toEqual(bad('input.displayName'))
    verdict = ({ content }) => ({ verdict: 'replace', content: `${content}2` })
    expect(await refusal(signUp({ username: 'dora' }))).toEqual(bad('input.username'))
    expect(asked[0]).toEqual({ kind: 'USERNAME', authorId: null, channelId: null, content: 'clown' })
    expect(asked.at(-1)).toEqual({ kind: 'USERNAME', authorId: null, channelId: null, content: 'dora' })
  })

  test('and topics of channels are looked at as they are made and changed', async () => {
    const create = (input: { name: string; topic?: string }) =>
      alice.client.request(CreateChannelDocument, { input: { kind: 'GROUP', ...input } })
    const update = (input: { name?: string; topic?: string }) =>
      alice.client.request(UpdateChannelDocument, { input: { channelId: tea, ...input } })
    expect(await refusal(create({ name: 'fool' }))).toEqual(bad('input.name'))
    expect(await refusal(create({ name: 'tea', topic: 'fool' }))).toEqual(bad('input.topic'))
    expect(await refusal(update({ name: 'fool' }))).toEqual(bad('input.name'))
    expect(await refusal(update({ topic: 'fool' }))).toEqual(bad('input.topic'))
    verdict = ({ content }) => gentle(content)
    expect((await create({ name: 'idiots', topic: 'idiot' })).createChannel.channel).toMatchObject({ name: 'friends', topic: 'friend' })
    expect((await update({ name: 'idiots', topic: 'idiot' })).updateChannel.channel).toMatchObject({ name: 'friends', topic: 'friend' })
    expect(asked.at(-1)).toEqual({ kind: 'CHANNEL_TOPIC', authorId: alice.id, channelId: tea, content: 'idiot' })
    expect(await contents()).toEqual(['friends'])
  })
})
