import { afterAll, beforeAll, expect, test } from 'vitest'
import { SettingsDocument, UpdateSettingsDocument, type UpdateSettingsInput } from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())

const initial = {
  locale: 'en',
  timeZone: 'UTC',
  quietHoursStart: null,
  quietHoursEnd: null,
  pushPreviews: true,
  emailWhenAway: true,
  email: null,
  emailVerified: false,
}

const settingsOf = async (person: Person) => (await person.client.request(SettingsDocument)).settings

async function update(person: Person, input: UpdateSettingsInput) {
  return (await person.client.request(UpdateSettingsDocument, { input })).updateSettings
}

test('what nobody has set has a value all the same, and only one’s own is to be seen', async () => {
  expect(await settingsOf(bob)).toEqual(initial)
  await update(alice, { locale: 'ko' })
  expect(await settingsOf(bob)).toEqual(initial)
  expect((await failure(app.client().request(SettingsDocument))).code).toBe('UNAUTHENTICATED')
  expect((await failure(app.client().request(UpdateSettingsDocument, { input: {} }))).code).toBe('UNAUTHENTICATED')
})

test('an absent field keeps what is there, and null clears it', async () => {
  const set = {
    locale: 'KO-kr',
    timeZone: 'asia/seoul',
    quietHoursStart: '22:30',
    quietHoursEnd: '07:00',
    pushPreviews: false,
    emailWhenAway: false,
  }
  const kept = { ...initial, ...set, locale: 'ko-KR', timeZone: 'Asia/Seoul' }
  expect(await update(alice, set)).toEqual(kept)
  expect(await update(alice, {})).toEqual(kept)
  expect(await update(alice, { quietHoursEnd: '08:00' })).toEqual({ ...kept, quietHoursEnd: '08:00' })
  expect(await settingsOf(alice)).toEqual({ ...kept, quietHoursEnd: '08:00' })
  expect(await update(alice, { quietHoursStart: null, quietHoursEnd: null, pushPreviews: null })).toEqual({
    ...kept,
    quietHoursStart: null,
    quietHoursEnd: null,
    pushPreviews: true,
  })
  expect(await update(alice, { locale: null, timeZone: null, emailWhenAway: null })).toEqual(initial)
})

test('a zone is kept by the name that was given, of the two that it may have', async () => {
  for (const timeZone of ['Asia/Kolkata', 'Asia/Calcutta', 'America/New_York', 'Etc/GMT+9']) {
    expect(await update(alice, { timeZone })).toMatchObject({ timeZone })
  }
})

test('says which input is at fault, and changes nothing', async () => {
  const before = await update(alice, { quietHoursStart: '22:00', quietHoursEnd: '08:00', locale: 'ko' })
  const wrong: [string, UpdateSettingsInput][] = [
    ['locale', { locale: '' }],
    ['locale', { locale: 'ko_KR!' }],
    ['locale', { locale: `en-x-${'abcdefgh-'.repeat(10)}a` }],
    ['timeZone', { timeZone: 'Seoul' }],
    ['timeZone', { timeZone: '+09:00' }],
    ['timeZone', { timeZone: 'x'.repeat(10_000) }],
    ['quietHoursStart', { quietHoursStart: '24:00' }],
    ['quietHoursStart', { quietHoursStart: '9:00' }],
    ['quietHoursEnd', { quietHoursEnd: 'noon' }],
    ['quietHoursStart', { quietHoursStart: null }],
    ['quietHoursEnd', { quietHoursEnd: null }],
    ['quietHoursEnd', { quietHoursEnd: '22:00' }],
    ['quietHoursStart', { quietHoursStart: '08:00', quietHoursEnd: '08:00' }],
  ]
  for (const [field, input] of wrong) {
    const refused = await refusal(update(alice, { ...input, pushPreviews: false }))
    expect([input, refused]).toEqual([input, bad(`input.${field}`)])
  }
  expect(await settingsOf(alice)).toEqual(before)
  expect(await refusal(update(bob, { quietHoursStart: '22:00' }))).toEqual(bad('input.quietHoursStart'))
})

test('two who change half of the quiet hours at once do not leave half of them', async () => {
  for (let round = 0; round < 10; round++) {
    await update(alice, { quietHoursStart: '22:00', quietHoursEnd: '08:00' })
    const both = [update(alice, { quietHoursStart: '09:00' }), update(alice, { quietHoursEnd: '09:00' })]
    const outcomes = await Promise.allSettled(both)
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(1)
    const { quietHoursStart, quietHoursEnd } = await settingsOf(alice)
    expect(quietHoursStart).not.toBe(quietHoursEnd)
  }
})
