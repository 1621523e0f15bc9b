import { createECDH, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  DevicesDocument,
  RefreshSessionDocument,
  RegisterDeviceDocument,
  type RegisterDeviceInput,
  SetActiveChannelDocument,
  SignInDocument,
  SignOutDocument,
  UnregisterDeviceDocument,
  WebPushKeyDocument,
} from '../client-sdk/index.ts'
import { devicesOf, dropDevice, dropDevicesOfEndedSessions } from '../server/domain/devices.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { userIdOf } from '../server/testing/devices.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, newChannel, operation, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let names = 0
beforeAll(async () => {
  app = await startTestApp()
})
beforeEach(async () => {
  names++
  ;[alice, bob] = await Promise.all([app.signUp(`alice${names}`), app.signUp(`bob${names}`)])
})
afterAll(() => app.stop())

const apnsToken = () => randomBytes(32).toString('hex')

async function register(person: Pick<Person, 'client'>, input: Partial<RegisterDeviceInput> = {}) {
  const { registerDevice } = await person.client.request(RegisterDeviceDocument, {
    input: { platform: 'FCM', token: apnsToken(), ...input },
  })
  return registerDevice
}

async function unregister(person: Person, deviceId: string) {
  return (await person.client.request(UnregisterDeviceDocument, { deviceId })).unregisterDevice
}

const idsOf = async (person: Pick<Person, 'client'>) =>
  (await person.client.request(DevicesDocument)).devices.map((device) => device.id)

/** Signs in once more, as on another device. */
async function signIn(person: Person) {
  const input = { username: person.username, password: `${person.username}’s password` }
  const { signIn: tokens } = await app.client().request(SignInDocument, { input })
  return { tokens, client: app.client(tokens.accessToken) }
}

const rows = (where: string) =>
  app.app.database.run<{ user_id: string; locale: string | null; sandbox: boolean; session_id: string | null }>(
    `select * from devices where ${where}`,
    [],
  )

test('a device is registered, listed and forgotten by its owner alone', async () => {
  const first = await register(alice, { platform: 'APNS', appId: 'org.example.chat', sandbox: true, locale: 'KO' })
  expect(first).toMatchObject({ platform: 'APNS' })
  expect(Math.abs(Date.parse(first.createdAt) - Date.now())).toBeLessThan(60_000)
  const second = await register(alice, { platform: 'WEBHOOK', token: '+82 10 0000 0000' })
  expect(await idsOf(alice)).toEqual([second.id, first.id])
  expect(await idsOf(bob)).toEqual([])
  const [row] = await rows(`user_id = ${userIdOf(alice)} and platform = 'APNS'`)
  expect(row).toMatchObject({ locale: 'ko', sandbox: true })
  expect(await unregister(bob, first.id)).toBe(false)
  expect(await unregister(alice, first.id)).toBe(true)
  expect(await unregister(alice, first.id)).toBe(false)
  expect(await idsOf(alice)).toEqual([second.id])
  expect((await failure(app.client().request(DevicesDocument))).code).toBe('UNAUTHENTICATED')
})

test('a device is a node for its owner alone', async () => {
  const node = operation(`query Node($id: ID!) { node(id: $id) { __typename id ... on Device { platform } } }`)
  const { id } = await register(alice)
  expect(await alice.client.request(node, { id })).toEqual({ node: { __typename: 'Device', id, platform: 'FCM' } })
  expect(await bob.client.request(node, { id })).toEqual({ node: null })
  const own = `d${bob.id.slice(1)}_${id.split('_')[1]!}`
  expect(await bob.client.request(node, { id: own })).toEqual({ node: null })
  // Of nobody, though the device is her own.
  const another = `d${bob.id.slice(1)}_${id.split('_')[1]!}`
  expect(await alice.client.request(node, { id: another })).toEqual({ node: null })
})

test('the same token again is the same device, with what is said of it now', async () => {
  const token = apnsToken()
  const first = await register(alice, { platform: 'APNS', token })
  const again = await register(alice, { platform: 'APNS', token: token.toUpperCase(), sandbox: true, locale: 'ko' })
  expect(again).toEqual(first)
  expect(await rows(`user_id = ${userIdOf(alice)}`)).toMatchObject([{ sandbox: true, locale: 'ko' }])
  await register(alice, { platform: 'FCM', token })
  await register(alice, { platform: 'APNS', token, appId: 'org.example.other' })
  expect(await idsOf(alice)).toHaveLength(3)
})

test('a subscription is the same, however its JSON is written', async () => {
  const p256dh = createECDH('prime256v1').generateKeys('base64url')
  const keys = { auth: randomBytes(16).toString('base64url'), p256dh }
  const endpoint = 'https://push.example.org/abc'
  const token = JSON.stringify({ endpoint, expirationTime: null, keys })
  const first = await register(alice, { platform: 'WEB_PUSH', token })
  const again = await register(alice, { platform: 'WEB_PUSH', token: JSON.stringify({ keys, endpoint }, null, 2) })
  expect(again.id).toBe(first.id)
})

test('who signs in on somebody’s phone takes its token along', async () => {
  const token = apnsToken()
  await register(alice, { token })
  const kept = await register(alice)
  const { id } = await register(bob, { token })
  expect(await idsOf(alice)).toEqual([kept.id])
  expect(await idsOf(bob)).toEqual([id])
})

test('a token that many register at once is one’s in the end', async () => {
  for (let round = 0; round < 5; round++) {
    const token = apnsToken()
    await Promise.all([alice, bob, alice, bob].map((person) => register(person, { token })))
    expect(await rows(`token = '${token}'`)).toHaveLength(1)
  }
})

test('the oldest make room', async () => {
  const ids: string[] = []
  for (let nth = 0; nth < 21; nth++) ids.push((await register(alice)).id)
  expect(await idsOf(alice)).toEqual(ids.slice(1).toReversed())
})

test('says which input is at fault', async () => {
  expect(await refusal(register(alice, { platform: 'APNS', token: 'x' }))).toEqual(bad('input.token'))
  expect(await refusal(register(alice, { platform: 'WEB_PUSH', token: '{}' }))).toEqual(bad('input.token'))
  expect(await refusal(register(alice, { appId: 'a b' }))).toEqual(bad('input.appId'))
  expect(await refusal(register(alice, { locale: 'not a tag' }))).toEqual(bad('input.locale'))
  expect(await refusal(unregister(alice, alice.id))).toEqual(bad('deviceId'))
  expect(await idsOf(alice)).toEqual([])
})

test('browsers are given what they subscribe with: an uncompressed point on P-256', async () => {
  const { webPushKey } = await alice.client.request(WebPushKeyDocument)
  const point = Buffer.from(webPushKey!, 'base64url')
  expect([point.length, point[0]]).toEqual([65, 4])
  expect((await failure(app.client().request(WebPushKeyDocument))).code).toBe('UNAUTHENTICATED')
})

describe('when a sign-in ends', () => {
  test('by signing out, its devices and what it shows go, and those of others stay', async () => {
    const other = await signIn(alice)
    const kept = await register(alice)
    await register(other)
    const channelId = await newChannel(alice)
    await other.client.request(SetActiveChannelDocument, { channelId })
    const shown = () => app.app.database.run(`select from active_channels where user_id = $1`, [userIdOf(alice)])
    expect(await shown()).toHaveLength(1)
    await app.client().request(SignOutDocument, { refreshToken: other.tokens.refreshToken })
    expect(await idsOf(alice)).toEqual([kept.id])
    expect(await shown()).toEqual([])
  })

  test('because its refresh token was copied, too', async () => {
    const other = await signIn(alice)
    await register(other)
    const { refreshToken } = other.tokens
    await app.client().request(RefreshSessionDocument, { refreshToken })
    await failure(app.client().request(RefreshSessionDocument, { refreshToken }))
    expect(await idsOf(alice)).toEqual([])
  })

  test('a device that is registered at that moment does not outlive it', async () => {
    for (let round = 0; round < 10; round++) {
      const other = await signIn(alice)
      const registered = register(other).catch(() => null)
      await app.client().request(SignOutDocument, { refreshToken: other.tokens.refreshToken })
      await registered
      expect(await idsOf(alice)).toEqual([])
    }
  })

  test('a device that moved to another sign-in stays with that one', async () => {
    const other = await signIn(alice)
    const token = apnsToken()
    const { id } = await register(other, { token })
    await register(alice, { token })
    await app.client().request(SignOutDocument, { refreshToken: other.tokens.refreshToken })
    expect(await idsOf(alice)).toEqual([id])
  })

  test('by time, its devices go with the next round of maintenance', async () => {
    const { database } = app.app
    await dropDevicesOfEndedSessions(database)
    const [expired, removed] = [await signIn(alice), await signIn(alice)]
    const kept = await register(alice)
    const external = await register(alice)
    await register(expired)
    await register(removed)
    const session = (token: string) => token.split('.')[1]!
    const { deviceId } = parseGlobalId(external.id) as { deviceId: string }
    await database.run(`update devices set session_id = null where id = $1`, [deviceId])
    await database.run(`update sessions set expires_at = now() - interval '1 second' where id = $1`, [
      session(expired.tokens.refreshToken),
    ])
    await database.run(`delete from sessions where id = $1`, [session(removed.tokens.refreshToken)])
    expect(await dropDevicesOfEndedSessions(database)).toBe(2)
    expect(await dropDevicesOfEndedSessions(database)).toBe(0)
    expect((await idsOf(alice)).toSorted()).toEqual([kept.id, external.id].toSorted())
  })
})

test('those who push are given the devices of many in one statement, and drop what is dead', async () => {
  const { database } = app.app
  await register(alice)
  await register(alice, { platform: 'WEBHOOK', token: 'a' })
  await register(bob)
  const [aliceId, bobId] = [userIdOf(alice), userIdOf(bob)]
  app.statements.length = 0
  const found = await devicesOf(database, [aliceId, bobId, '1'])
  expect(app.statements).toHaveLength(1)
  expect([...found.keys()].toSorted()).toEqual([aliceId, bobId].toSorted())
  expect(found.get(aliceId)).toHaveLength(2)
  const [device] = found.get(bobId)!
  expect(device).toMatchObject({ userId: bobId, platform: 'FCM', locale: null })
  expect(await dropDevice(database, aliceId, device!.id)).toBe(false)
  expect(await dropDevice(database, bobId, device!.id)).toBe(true)
  expect((await devicesOf(database, [bobId])).size).toBe(0)
  expect((await devicesOf(database, [])).size).toBe(0)
})
