import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import {
  AddReactionDocument,
  BlockUserDocument,
  CreateChannelDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  MarkReadDocument,
  OpenDirectChannelDocument,
  SendMessageDocument,
  SetActiveChannelDocument,
  SetChannelNotificationsDocument,
  SetPresenceDocument,
  UpdateSettingsDocument,
} from '../../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { type Platform, type Providers, startProviders, type TestDevice } from './testing/providers.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 })

let app: TestApp
let providers: Providers
let alice: Person
let count = 0
beforeAll(async () => {
  providers = await startProviders()
  app = await startTestApp({ ...providers.env, PUSH_PER_MINUTE: '5' })
  await app.startWorkers(providers.trusted)
  alice = await app.signUp('alice')
})
afterAll(async () => {
  await app.stop()
  await providers.stop()
})
afterEach(() => {
  if (providers.complaints().length > 0) throw new Error(providers.complaints().join('\n'))
})

const someone = (name: string) => app.signUp(`${name}${++count}`)

async function channelWith(...others: Person[]): Promise<string> {
  const input = { kind: 'GROUP' as const, name: 'general', memberIds: others.map((each) => each.id) }
  return (await alice.client.request(CreateChannelDocument, { input })).createChannel.channel.id
}

async function send(channelId: string, content: string, by = alice, more: { replyToId?: string } = {}) {
  const input = { channelId, content, ...more }
  return (await by.client.request(SendMessageDocument, { input })).sendMessage.message
}

const bodies = (device: TestDevice) => providers.told(device).map((notice) => notice.body)

/** Sends something that a device is told of for sure, so that what is not there by then will not come. */
async function flush(device: TestDevice, channelId: string, by = alice) {
  const marker = `marker ${++count}`
  await send(channelId, marker, by)
  await expect.poll(() => bodies(device).some((body) => body.includes(marker)), { timeout: 15_000 }).toBe(true)
}

test.each<Platform>(['APNS', 'FCM', 'WEB_PUSH', 'WEBHOOK'])('%s: a message arrives once, in words, with its ids and the number of unread ones', async (platform) => {
  const bob = await someone('bob')
  const phone = await providers.register(bob, platform)
  const channelId = await channelWith(bob)
  const first = await send(channelId, 'Lunch at noon?')
  await expect.poll(() => providers.told(phone), { timeout: 15_000 }).toHaveLength(1)
  await send(channelId, '점심 먹을래요? 🍜')
  await expect.poll(() => providers.told(phone), { timeout: 15_000 }).toHaveLength(2)
  const [one, two] = providers.told(phone)
  expect(one).toMatchObject({ badge: 1, data: { channelId, messageId: first.id, seq: String(first.seq) } })
  expect(`${one!.title} ${one!.body}`).toMatch(/general.*alice.*Lunch at noon\?/)
  expect(two!.body).toContain('점심 먹을래요? 🍜')
  expect(two!.badge).toBe(2)
  expect(one!.collapseId).not.toBe(two!.collapseId)
})

test('the author is not told, nor who has come after it was said', async () => {
  const bob = await someone('bob')
  const [own, phone] = [await providers.register(alice, 'APNS'), await providers.register(bob, 'APNS')]
  const channelId = await channelWith(bob)
  await send(channelId, 'mine')
  await flush(phone, channelId)
  expect(bodies(own)).toEqual([])
})

test('muted, level, quiet hours, do not disturb, blocked, read, shown: whoever is not to be told is not', async () => {
  const names = ['muted', 'none', 'mentions', 'quiet', 'busy', 'blocker', 'reader', 'shown', 'bob']
  const people = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await someone(name)] as const)))
  const channelId = await channelWith(...Object.values(people))
  const phones: Record<string, TestDevice> = {}
  for (const name of names) phones[name] = await providers.register(people[name]!, 'FCM')
  const setNotifications = (name: string, input: object) =>
    people[name]!.client.request(SetChannelNotificationsDocument, { input: { channelId, ...input } })
  await setNotifications('muted', { mutedUntil: new Date(Date.now() + 60_000).toISOString() })
  await setNotifications('none', { level: 'NONE' })
  await setNotifications('mentions', { level: 'MENTIONS' })
  const hour = (offset: number) => new Date(Date.now() + offset * 3_600_000).toISOString().slice(11, 16)
  await people.quiet!.client.request(UpdateSettingsDocument, {
    input: { timeZone: 'UTC', quietHoursStart: hour(-2), quietHoursEnd: hour(2) },
  })
  await people.busy!.client.request(SetPresenceDocument, { status: 'DO_NOT_DISTURB' })
  await people.blocker!.client.request(BlockUserDocument, { userId: alice.id })
  await people.shown!.client.request(SetActiveChannelDocument, { channelId })
  await send(channelId, 'hello all')
  await flush(phones.bob!, channelId)
  const told = names.filter((name) => bodies(phones[name]!).some((body) => body.includes('hello all')))
  expect(told).toEqual(['reader', 'bob'])

  const mention = await send(channelId, `@${people.mentions!.username} and @${people.muted!.username}, look`)
  await expect.poll(() => bodies(phones.mentions!), { timeout: 15_000 }).toHaveLength(1)
  await people.reader!.client.request(MarkReadDocument, { channelId, seq: mention.seq })
  await people.shown!.client.request(SetActiveChannelDocument, { channelId: null })
  await send(channelId, 'again')
  await expect.poll(() => bodies(phones.shown!).some((body) => body.includes('again')), { timeout: 15_000 }).toBe(true)
  expect(bodies(phones.muted!)).toEqual([])

  const rows = await app.app.database.run<{ reason: string }>(
    `select distinct reason from push_deliveries where status = 'SKIPPED' order by reason`,
    [],
  )
  expect(rows.map((row) => row.reason)).toEqual(
    expect.arrayContaining(['ACTIVE', 'BLOCKED', 'DO_NOT_DISTURB', 'LEVEL', 'MUTED', 'QUIET_HOURS']),
  )
})

test('an answer to what one has said counts as a mention', async () => {
  const bob = await someone('bob')
  const phone = await providers.register(bob, 'APNS')
  const channelId = await channelWith(bob)
  await bob.client.request(SetChannelNotificationsDocument, { input: { channelId, level: 'MENTIONS' } })
  const said = await send(channelId, 'a thought', bob)
  await send(channelId, 'not for bob')
  await send(channelId, 'for bob', alice, { replyToId: said.id })
  await expect.poll(() => bodies(phone), { timeout: 15_000 }).toHaveLength(1)
  expect(bodies(phone)[0]).toContain('for bob')
})

test('in the user’s language, and with previews off without a word of it', async () => {
  const bob = await someone('bob')
  const [korean, english] = [
    await providers.register(bob, 'APNS'),
    await providers.register(bob, 'FCM', { locale: 'en-GB' }),
  ]
  await bob.client.request(UpdateSettingsDocument, { input: { locale: 'ko', pushPreviews: false } })
  const { openDirectChannel } = await alice.client.request(OpenDirectChannelDocument, { userId: bob.id })
  await send(openDirectChannel.channel.id, 'secret plans')
  await expect.poll(() => [...providers.told(korean), ...providers.told(english)], { timeout: 15_000 }).toHaveLength(2)
  const said = (device: TestDevice) => providers.told(device).map(({ title, body }) => `${title} ${body}`).join()
  for (const device of [korean, english]) expect(said(device)).not.toMatch(/secret|alice/)
  expect(said(korean)).toMatch(/[가-힣]/)
  expect(said(english)).not.toMatch(/[가-힣]/)
})

test('a provider that fails is asked again until it has taken it; each device is told once', async () => {
  const bob = await someone('bob')
  const phones = await Promise.all([
    providers.register(bob, 'APNS'),
    providers.register(bob, 'FCM'),
    providers.register(bob, 'WEB_PUSH'),
  ])
  const channelId = await channelWith(bob)
  providers.APNS.next('later')
  providers.FCM.next({ status: 500, reason: 'INTERNAL' })
  providers.WEB_PUSH.next({ status: 502 })
  await send(channelId, 'through the storm')
  await expect.poll(() => phones.map((phone) => bodies(phone).length), { timeout: 25_000 }).toEqual([1, 1, 1])
  await flush(phones[1]!, channelId)
  expect(phones.map((phone) => bodies(phone).filter((body) => body.includes('storm')).length)).toEqual([1, 1, 1])
})

test('a token that the provider declares dead is dropped', async () => {
  const bob = await someone('bob')
  const [old, phone] = [await providers.register(bob, 'APNS'), await providers.register(bob, 'APNS')]
  const channelId = await channelWith(bob)
  providers.APNS.kill(old.token)
  await flush(phone, channelId)
  await expect
    .poll(() => app.app.database.run('select from devices where token = $1', [old.token]), { timeout: 15_000 })
    .toEqual([])
  await flush(phone, channelId)
})

test('what is deleted, and what is read elsewhere, is taken off the screen again, and the number follows', async () => {
  const bob = await someone('bob')
  const [apns, fcm, browser] = await Promise.all([
    providers.register(bob, 'APNS'),
    providers.register(bob, 'FCM'),
    providers.register(bob, 'WEB_PUSH'),
  ])
  const channelId = await channelWith(bob)
  const first = await send(channelId, 'a slip of the tongue')
  await expect.poll(() => [apns, fcm, browser].map((device) => bodies(device).length), { timeout: 15_000 }).toEqual([1, 1, 1])
  await alice.client.request(DeleteMessageDocument, { messageId: first.id })
  const withdrawn = (device: TestDevice) => providers.told(device, ['withdraw', 'replace'])
  await expect.poll(() => [apns, fcm, browser].map((device) => withdrawn(device).length), { timeout: 15_000 }).toEqual([1, 1, 1])
  expect(withdrawn(apns)[0]!.data).toMatchObject({ messageId: first.id, reason: 'deleted' })
  expect(withdrawn(fcm)[0]!.data).toMatchObject({ messageId: first.id })
  expect(withdrawn(browser)[0]!).toMatchObject({ kind: 'replace', collapseId: providers.told(browser)[0]!.collapseId })
  expect(JSON.stringify(withdrawn(browser))).not.toContain('tongue')

  const second = await send(channelId, 'read me')
  await expect.poll(() => bodies(fcm), { timeout: 15_000 }).toHaveLength(2)
  await expect.poll(() => bodies(apns), { timeout: 15_000 }).toHaveLength(2)
  await bob.client.request(MarkReadDocument, { channelId, seq: second.seq })
  await expect.poll(() => withdrawn(fcm), { timeout: 15_000 }).toHaveLength(2)
  expect(withdrawn(fcm)[1]).toMatchObject({ data: { channelId, upToSeq: String(second.seq), reason: 'read' }, badge: 0 })
  await expect.poll(() => providers.told(apns, ['badge']), { timeout: 15_000 }).toHaveLength(1)
  expect(providers.told(apns, ['badge'])[0]!.badge).toBe(0)
})

test('edits and reactions are not pushed', async () => {
  const bob = await someone('bob')
  const phone = await providers.register(bob, 'WEBHOOK')
  const channelId = await channelWith(bob)
  const said = await send(channelId, 'one')
  await expect.poll(() => bodies(phone), { timeout: 15_000 }).toHaveLength(1)
  await alice.client.request(EditMessageDocument, { input: { messageId: said.id, content: 'two' } })
  await alice.client.request(AddReactionDocument, { messageId: said.id, emoji: '👍' })
  await flush(phone, channelId)
  expect(bodies(phone)).toHaveLength(2)
})

test('a burst becomes one summary, of what is unread by then', async () => {
  const bob = await someone('bob')
  const phone = await providers.register(bob, 'FCM')
  const channelId = await channelWith(bob)
  for (let nth = 1; nth <= 12; nth++) await send(channelId, `burst ${nth}`)
  const summaries = () => providers.told(phone).filter((notice) => notice.data.count !== undefined)
  await expect.poll(summaries, { timeout: 25_000 }).toHaveLength(1)
  const [summary] = summaries()
  const single = bodies(phone).filter((body) => /burst \d+/.test(body))
  // Workers that count at the same moment may each leave room for the other's.
  expect(single.length).toBeGreaterThan(2)
  expect(single.length).toBeLessThan(6)
  expect(new Set(single).size).toBe(single.length)
  expect(summary).toMatchObject({ badge: 12, data: { channelId, count: String(12 - single.length) } })
  expect(`${summary!.title} ${summary!.body}`).toContain(String(12 - single.length))
})
