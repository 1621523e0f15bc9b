import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  AddReactionDocument,
  ChannelDocument,
  EditMessageDocument,
  InboxDocument,
  OpenDirectChannelDocument,
  SendMessageDocument,
  SetMemberRoleDocument,
} from '../client-sdk/index.ts'
import { findRedis } from '../server/testing/redis.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, missing, newChannel, operation, refusal, say } from './testing/operations.ts'

const setSlowMode = operation(
  `mutation SetSlowMode($channelId: ID!, $seconds: Int) {
    setSlowMode(channelId: $channelId, seconds: $seconds) { channel { slowModeSeconds } }
  }`,
)
const lookAt = operation('query Look($id: ID!) { channel(id: $id) { slowModeSeconds viewerMaySendAt } }')

describe.each([{ where: 'in the process', onRedis: false }, { where: 'on Redis', onRedis: true }])('slow mode $where', ({ onRedis }) => {
  let app: TestApp
  let redis: Awaited<ReturnType<typeof findRedis>> | undefined
  /** The owner. */
  let alice: Person
  let bob: Person
  let carol: Person
  let channelId: string
  beforeAll(async () => {
    if (onRedis) redis = await findRedis()
    app = await startTestApp(redis === undefined ? {} : { REDIS_URL: redis.url })
    ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  })
  beforeEach(async () => {
    channelId = await newChannel(alice, {}, [bob, carol])
  })
  afterAll(async () => {
    await app.stop()
    await redis?.stop()
  })

  async function set(person: Person, seconds: number | null, id = channelId): Promise<number | null> {
    const answer = await person.client.request(setSlowMode, { channelId: id, seconds })
    return answer.setSlowMode.channel.slowModeSeconds
  }
  async function look(person: Person): Promise<{ slowModeSeconds: number | null; viewerMaySendAt: string | null }> {
    return (await person.client.request(lookAt, { id: channelId })).channel
  }
  const codeOf = async (answer: Promise<unknown>) => (await failure(answer)).code

  test('the answer to who writes too soon says in a header, too, how long to wait', async () => {
    await set(alice, 60)
    await say(bob, channelId, 'one')
    const response = await fetch(app.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${bob.token}` },
      body: JSON.stringify({
        query: 'mutation Say($input: SendMessageInput!) { sendMessage(input: $input) { message { id } } }',
        variables: { input: { channelId, content: 'two' } },
      }),
    })
    const { errors } = (await response.json()) as { errors: { extensions: { code: string; retryAfterMs: number } }[] }
    expect(errors[0]!.extensions.code).toBe('RATE_LIMITED')
    expect(Number(response.headers.get('retry-after'))).toBe(Math.ceil(errors[0]!.extensions.retryAfterMs / 1_000))
  })

  test('it is set, changed and turned off, and everybody in the channel sees it, live too', async () => {
    await using events = bob.client.subscribe(InboxDocument, {})
    const next = async () => (await events.next()).value!.inbox
    expect((await next()).__typename).toBe('SyncedEvent')
    expect((await look(bob)).slowModeSeconds).toBeNull()
    for (const seconds of [1, 21_600, 30, null]) {
      expect(await set(alice, seconds)).toBe(seconds)
      expect(await next()).toMatchObject({ __typename: 'ChannelUpdatedEvent', stream: channelId })
      expect((await look(bob)).slowModeSeconds).toBe(seconds)
    }
    await set(alice, 5)
    expect(await set(alice, 0)).toBeNull()
  })

  test('a member writes once within it, and is told how long to wait; owners and admins write at any time', async () => {
    // Whoever has written before is remembered, and noticed all the same.
    await say(bob, channelId, 'before')
    await set(alice, 3_600)
    await say(bob, channelId, 'one')
    const { code, retryAfterMs } = await failure(say(bob, channelId, 'two'))
    expect(code).toBe('RATE_LIMITED')
    expect(retryAfterMs).toBeGreaterThan(3_500_000)
    expect(retryAfterMs).toBeLessThanOrEqual(3_600_000)
    await say(carol, channelId, 'each has a turn')
    for (let nth = 0; nth < 3; nth++) await say(alice, channelId, `${nth}`)
    await alice.client.request(SetMemberRoleDocument, { channelId, userId: bob.id, role: 'ADMIN' })
    await say(bob, channelId, 'two')
    await alice.client.request(SetMemberRoleDocument, { channelId, userId: bob.id, role: 'MEMBER' })
    expect(await codeOf(say(bob, channelId, 'three'))).toBe('RATE_LIMITED')
    await say(bob, await newChannel(bob), 'elsewhere')
    await set(alice, null)
    for (let nth = 0; nth < 3; nth++) await say(bob, channelId, `${nth}`)
  })

  test('it is over when it says, and a shorter one counts at once', async () => {
    await set(alice, 3_600)
    await say(bob, channelId, 'one')
    expect(await codeOf(say(bob, channelId, 'two'))).toBe('RATE_LIMITED')
    await set(alice, 1)
    const started = performance.now()
    for (;;) {
      const wait = await say(bob, channelId, 'two').then(() => 0, (error: { retryAfterMs: number }) => error.retryAfterMs)
      if (wait === 0) break
      expect(wait).toBeLessThanOrEqual(1_000)
      await sleep(wait + 1)
    }
    expect(performance.now() - started).toBeLessThan(10_000)
  })

  test('the viewer sees when the next message may be written', async () => {
    await set(alice, 600)
    expect((await look(bob)).viewerMaySendAt).toBeNull()
    const before = Date.now()
    await say(bob, channelId, 'one')
    const at = Date.parse((await look(bob)).viewerMaySendAt!)
    expect(at).toBeGreaterThan(before + 590_000)
    expect(at).toBeLessThanOrEqual(Date.now() + 600_000)
    for (const person of [alice, carol]) expect((await look(person)).viewerMaySendAt).toBeNull()
  })

  test('a message that was sent can be sent again, and is given back', async () => {
    await set(alice, 3_600)
    const one = await say(bob, channelId, 'one', { idempotencyKey: 'one' })
    expect((await say(bob, channelId, 'one', { idempotencyKey: 'one' })).id).toBe(one.id)
    expect(await codeOf(say(bob, channelId, 'two', { idempotencyKey: 'two' }))).toBe('RATE_LIMITED')
    expect((await say(bob, channelId, 'one', { idempotencyKey: 'one' })).id).toBe(one.id)
    expect(await codeOf(say(bob, channelId, 'another', { idempotencyKey: 'one' }))).toBe('CONFLICT')
    expect(await codeOf(say(bob, channelId, 'two', { idempotencyKey: 'two' }))).toBe('RATE_LIMITED')
  })

  test('what was sent before slow mode, or long ago, can be sent again and uses up nothing', async () => {
    const one = await say(bob, channelId, 'one', { idempotencyKey: 'one' })
    await sleep(1_100)
    await set(alice, 1)
    expect((await say(bob, channelId, 'one', { idempotencyKey: 'one' })).id).toBe(one.id)
    await set(alice, 3_600)
    await expect.poll(() => say(bob, channelId, 'two', { idempotencyKey: 'two' }).then(() => 'sent', () => 'refused')).toBe('sent')
  })

  test('of the same message and of others at the same time one gets through', async () => {
    await set(alice, 3_600)
    const send = (content: string, idempotencyKey: string) =>
      bob.client.request(SendMessageDocument, { input: { channelId, content, idempotencyKey } }).then(
        ({ sendMessage }) => sendMessage.message.id,
        (error: { code: string }) => error.code,
      )
    const answers = await Promise.all([
      ...Array.from({ length: 5 }, () => send('the same', 'same')),
      ...Array.from({ length: 5 }, (_, nth) => send('another under its key', `other ${nth}`)),
      ...Array.from({ length: 5 }, (_, nth) => send(`with another body ${nth}`, 'same')),
    ])
    const sent = new Set(answers.filter((answer) => !['RATE_LIMITED', 'CONFLICT'].includes(answer)))
    expect(sent.size).toBe(1)
    // It holds for whatever comes next.
    expect(await send('next', 'next')).toBe('RATE_LIMITED')
  })

  test('a message that is refused for another reason gives its turn back', async () => {
    await set(alice, 3_600)
    expect(await codeOf(say(bob, channelId, ''))).toBe('BAD_USER_INPUT')
    const attachment = 'QXR0YWNobWVudDoxOjE'
    expect(await codeOf(say(bob, channelId, 'with a file', { attachmentIds: [attachment] }))).not.toBe('RATE_LIMITED')
    const elsewhere = await say(bob, await newChannel(bob), 'elsewhere')
    expect(await codeOf(say(bob, channelId, 'a reply', { replyToId: elsewhere.id }))).toBe('BAD_USER_INPUT')
    await say(bob, channelId, 'one')
  })

  test('editing and reacting is not writing', async () => {
    await set(alice, 3_600)
    const { id } = await say(bob, channelId, 'one')
    await bob.client.request(EditMessageDocument, { input: { messageId: id, content: 'better' } })
    await bob.client.request(AddReactionDocument, { messageId: id, emoji: '👍' })
  })

  test('says which input is at fault, and who may not', async () => {
    for (const seconds of [-1, 21_601, 0x7fff_ffff]) expect(await refusal(set(alice, seconds))).toEqual(bad('seconds'))
    expect(await refusal(set(alice, 5, 'c1'))).toEqual(missing('channelId'))
    expect(await codeOf(set(bob, 5))).toBe('FORBIDDEN')
    const { openDirectChannel } = await alice.client.request(OpenDirectChannelDocument, { userId: bob.id })
    expect(await codeOf(set(alice, 5, openDirectChannel.channel.id))).toBe('FORBIDDEN')
    const cursor = async () => (await alice.client.request(ChannelDocument, { id: channelId })).channel!.cursor
    await set(alice, 5)
    const before = await cursor()
    await set(alice, 5)
    expect(await cursor()).toBe(before)
  })
})
