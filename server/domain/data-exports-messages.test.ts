import { afterAll, beforeAll, expect, test } from 'vitest'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { startTestApp, type TestApp } from '../testing/test-app.ts'
import { portions } from './data-exports-channels.ts'
import { findOwnMessages } from './data-exports-messages.ts'

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
})
afterAll(() => app.stop())

test('messages are found whatever lies between them, and written a few at a time', async () => {
  const [alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  const channelId = await newChannel(bob, {}, [alice])
  for (let nth = 0; nth < 30; nth++) await say(nth % 3 === 0 ? alice : bob, channelId, `${nth}`)
  const { userId } = parseGlobalId(alice.id) as { userId: string }
  const { channelId: channel } = parseGlobalId(channelId) as { channelId: string }
  const pages = await Array.fromAsync(findOwnMessages(app.app.database, channel, userId))
  const own = pages.flatMap((page) => page.own)
  expect(own).toHaveLength(10)
  const rest = await Array.fromAsync(findOwnMessages(app.app.database, channel, userId, own[4]!.id))
  expect(rest.flatMap((page) => page.own)).toEqual(own.slice(5))
  const sizes = [...portions([400_000, 400_000, 400_000, 2_000_000, 1].map((bytes, nth) => ({ id: `${nth}`, bytes })))]
  expect(sizes.map((some) => some.map(({ id }) => id))).toEqual([['0', '1'], ['2'], ['3'], ['4']])
})
