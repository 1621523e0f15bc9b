import { afterAll, beforeAll, expect, test } from 'vitest'
import { AddReactionDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { startTestApp, type TestApp } from '../testing/test-app.ts'
import { portions } from './data-exports-channels.ts'
import { findOwnMessages, findOwnReactions } from './data-exports-messages.ts'

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

test('more messages and reactions of others than one statement looks at end nothing', async () => {
  const [carol, dora] = await Promise.all([app.signUp('carol'), app.signUp('dora')])
  const channelId = await newChannel(dora, {}, [carol])
  const said = []
  // Three of one's own: at the beginning, after ten of others, and after ten more.
  for (let nth = 0; nth < 23; nth++) said.push(await say(nth % 11 === 0 ? carol : dora, channelId, `${nth}`))
  for (const [nth, { id }] of said.entries()) {
    const person = nth % 11 === 0 ? carol : dora
    await person.client.request(AddReactionDocument, { messageId: id, emoji: '🍵' })
  }
  const { userId } = parseGlobalId(carol.id) as { userId: string }
  const { channelId: channel } = parseGlobalId(channelId) as { channelId: string }
  const { database } = app.app
  const expected = said.filter((_, nth) => nth % 11 === 0).map(({ id }) => (parseGlobalId(id) as { messageId: string }).messageId)
  for (const atOnce of [1, 3, 11, 10_000]) {
    const messages = await Array.fromAsync(findOwnMessages(database, channel, userId, null, atOnce))
    expect(messages.flatMap(({ own }) => own.map(({ id }) => id)), `${atOnce}`).toEqual(expected)
    const reactions = await Array.fromAsync(findOwnReactions(database, channel, userId, atOnce))
    expect(reactions.flat(), `${atOnce}`).toEqual(expected.map((messageId) => ({ messageId, emoji: '🍵' })))
  }
})

test('a month that retention has taken away is left out', async () => {
  const eve = await app.signUp('eve')
  const channelId = await newChannel(eve)
  await say(eve, channelId, 'still here')
  const { userId } = parseGlobalId(eve.id) as { userId: string }
  const { channelId: channel } = parseGlobalId(channelId) as { channelId: string }
  const { database } = app.app
  // A month of long ago, whose table there never was.
  await database.run(
    `insert into channel_buckets select (jsonb_populate_record(b, '{"bucket": 3, "first_seq": 0}')).* from channel_buckets b where channel_id = $1`,
    [channel],
  )
  const pages = await Array.fromAsync(findOwnMessages(database, channel, userId))
  expect(pages.flatMap(({ own }) => own)).toHaveLength(1)
})
