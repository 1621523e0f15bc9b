import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { ChannelDocument, MessageThreadDocument } from '../../client-sdk/index.ts'
import { history, newChannel, say } from '../../schema/testing/operations.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { createRandom } from '../testing/random.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { channelSnowflake } from '../testing/watch-changes.ts'
import { createSendBatcher } from './batcher.ts'
import { changeChannel } from './channel-lock.ts'
import type { Change } from './changes.ts'
import { clockSlackMs, hashOf, type Send, sendBatch, type SendOutcome } from './send.ts'
import { compareSnowflakes, createSnowflakes, snowflakeTime } from './snowflake.ts'

let app: TestApp
let alice: Person
let bob: Person
let channelId: string
let id: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())
beforeEach(async () => {
  channelId = await newChannel(alice, {}, [bob])
  id = channelSnowflake(channelId)
})

const snowflakes = createSnowflakes(() => 1)
const userId = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId
const messageId = (globalId: string) => (parseGlobalId(globalId) as { messageId: string }).messageId

let keys = 0
const send = (author: Person, content: string, more: Partial<Send> = {}): Send => ({
  authorId: userId(author),
  key: `key ${++keys}`,
  bodyHash: hashOf(content),
  kind: 'USER',
  content,
  root: null,
  mentionIds: [],
  ...more,
})

/** Writes one batch, under the membership version that stands. */
async function write(sends: Send[], proposedId = snowflakes.next()) {
  const [channel] = await app.app.database.run<{ membership_version: number }>(
    'select membership_version from channels where id = $1',
    [id],
  )
  const result = await sendBatch(app.app.database, id, channel!.membership_version, proposedId, sends)
  if (result.moved) throw new Error('Membership has moved')
  return result
}

const tell = (outcome: SendOutcome) =>
  outcome.outcome === 'conflict' || outcome.outcome === 'expired' ? outcome.outcome : `${outcome.outcome} ${outcome.message.seq} ${outcome.message.content}`
const tellChange = (change: Change) =>
  change.type === 'message' ? `${change.kind} ${change.message.content} ${change.message.replyCount}` : change.type

describe('a batch', () => {
  test('keeps its order, and of duplicates within it the first', async () => {
    const first = send(alice, 'one')
    const { outcomes, changes } = await write([
      first,
      send(bob, 'two'),
      first,
      { ...first, content: 'other', bodyHash: send(alice, 'other').bodyHash },
      send(alice, 'three'),
      { ...first, authorId: userId(bob) },
    ])
    expect(outcomes.map(tell)).toEqual(['sent 1 one', 'sent 2 two', 'repeated 1 one', 'conflict', 'sent 3 three', 'sent 4 one'])
    expect(changes.map((change) => change.change)).toEqual([3, 4, 5, 6])
  })

  test('sent again, in another order and with something new, stores what is new', async () => {
    const sends = Array.from({ length: 32 }, (_, nth) => send(nth % 2 === 0 ? alice : bob, `${nth}`))
    await write(sends)
    const { outcomes, changes } = await write([...sends.toReversed(), send(alice, 'new')])
    expect(outcomes.map(tell)).toEqual([...sends.map((sent, nth) => `repeated ${nth + 1} ${sent.content}`).toReversed(), 'sent 33 new'])
    expect(changes).toMatchObject([{ change: 35, seq: 33, kind: 'CREATED' }])
    expect((await write(sends)).changes).toEqual([])
  })

  test('counts its replies where they answer, each answered message being one change', async () => {
    const { outcomes } = await write([send(alice, 'root'), send(bob, 'other root')])
    const [root, other] = outcomes.map((outcome) => (outcome.outcome === 'sent' ? outcome.message : null))
    const twice = send(bob, 'a', { root: root! })
    const { changes } = await write([
      twice,
      send(bob, 'b', { root: other! }),
      send(alice, 'no reply'),
      send(alice, 'c', { root: root! }),
      twice,
    ])
    expect(changes.map(tellChange)).toEqual([
      'CREATED a 0',
      'CREATED b 0',
      'CREATED no reply 0',
      'CREATED c 0',
      'ENRICHED root 2',
      'ENRICHED other root 1',
    ])
    expect(changes.map((change) => change.change)).toEqual([5, 6, 7, 8, 9, 10])
    expect(changes.map((change) => change.seq)).toEqual([3, 4, 5, 6, 6, 6])
    const rootId = (await history(alice, channelId)).find(({ content }) => content === 'root')!.id
    const { node } = await bob.client.request(MessageThreadDocument, { id: rootId })
    expect(node).toMatchObject({ replyCount: 2, viewerThread: { unreadCount: 1 } })
  })

  test('notes its mentions, and moves its authors to the end', async () => {
    const mention = (person: Person) => ({ mentionIds: [userId(person)] })
    await write([send(alice, 'hey', mention(bob)), send(alice, 'hey again', mention(bob)), send(bob, 'yes?', mention(alice))])
    await write([send(alice, 'never mind', mention(bob))])
    const unread = async (person: Person) => {
      const { channel } = await person.client.request(ChannelDocument, { id: channelId })
      return [channel!.unreadCount, channel!.unreadMentionCount, channel!.viewerMembership!.lastReadSeq]
    }
    expect(await unread(bob)).toEqual([1, 1, 3])
    expect(await unread(alice)).toEqual([0, 0, 4])
  })

  test('is not written at all where who may do what has moved', async () => {
    const result = await sendBatch(app.app.database, id, 99, snowflakes.next(), [send(alice, 'no'), send(bob, 'nor this')])
    expect(result).toEqual({ moved: true })
    expect(await history(alice, channelId)).toEqual([])
    const [row] = await app.app.database.run<{ keys: number }>('select count(*)::int as keys from send_keys where channel_id = $1', [id])
    expect(row!.keys).toBe(0)
  })
})

describe('clocks', () => {
  const storeClock = async () =>
    +(await app.app.database.run<{ now: Date }>('select clock_timestamp() as now', []))[0]!.now

  /** Writers, each with a batcher and a clock of its own, send to one channel at once. Returns the ids, by seq. */
  async function sendWith(clocks: (() => number)[], count: number) {
    const [channel] = await app.app.database.run<{ membership_version: number }>('select membership_version from channels where id = $1', [id])
    const batchers = clocks.map((now, worker) =>
      createSendBatcher({ database: app.app.database, snowflakes: createSnowflakes(() => worker, now), announce: () => {} }),
    )
    const before = await storeClock()
    const outcomes = await Promise.all(
      Array.from({ length: count }, async (_, nth) => {
        await sleep(nth % 50)
        return batchers[nth % batchers.length]!.send(id, channel!.membership_version, send(nth % 2 === 0 ? alice : bob, `${nth}`))
      }),
    )
    const after = await storeClock()
    const messages = outcomes.map((outcome) => {
      if (outcome === 'moved' || outcome.outcome !== 'sent') throw new Error('Not sent')
      return outcome.message
    })
    const inOrder = messages.toSorted((a, b) => a.seq - b.seq)
    expect(inOrder.map((message) => message.seq)).toEqual(Array.from({ length: count }, (_, nth) => nth + 1))
    expect(inOrder.toSorted((a, b) => compareSnowflakes(a.id, b.id))).toEqual(inOrder)
    expect(new Set(inOrder.map((message) => message.id)).size).toBe(count)
    for (const message of inOrder) {
      expect(+snowflakeTime(message.id)).toBeGreaterThanOrEqual(before - clockSlackMs - 1)
      expect(+snowflakeTime(message.id)).toBeLessThanOrEqual(after + clockSlackMs + 1)
    }
  }

  const minutes = (count: number) => Math.round(count * 60_000)
  const random = createRandom(5)

  test.each<[string, (() => number)[]]>([
    ['five minutes fast and five minutes slow', [() => Date.now() + minutes(5), () => Date.now() - minutes(5)]],
    ['a little apart', [() => Date.now() + 900, () => Date.now() - 900, () => Date.now()]],
    ['jumping about', [() => Date.now() + minutes(random.next() * 10 - 5), () => Date.now() + minutes(random.next() * 10 - 5)]],
    ['years off', [() => Date.UTC(2000, 0, 2), () => Date.UTC(2069, 0, 1)]],
  ])('of writers that are %s: ids sort like seqs, and stay near the store’s clock', (_, clocks) => sendWith(clocks, 150))

  test('a clock that was far ahead holds nobody up when it is right again', async () => {
    const isWrong = { yet: true }
    const now = () => Date.now() + (isWrong.yet ? minutes(5) : 0)
    await sendWith([now], 10)
    isWrong.yet = false
    await write([send(alice, 'right again')])
    const { createdAt } = (await history(alice, channelId)).at(-1)!
    expect(Date.parse(createdAt) - (await storeClock())).toBeLessThanOrEqual(clockSlackMs + 1)
  })

  test('what the system says keeps to the same order, whatever its replica’s clock says', async () => {
    const says = (content: string) =>
      changeChannel(app.app.database, id, (channel) => channel.append('CHANNEL_UPDATED', userId(alice), content))
    try {
      for (const minutesOff of [5, -5, 0, 600, -600]) {
        vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
        vi.setSystemTime(Date.now() + minutes(minutesOff))
        const done = says(`${minutesOff} minutes off`)
        await done
        vi.useRealTimers()
        await write([send(bob, 'and bob')])
      }
    } finally {
      vi.useRealTimers()
    }
    const messages = await history(alice, channelId)
    const ids = messages.map((message) => messageId(message.id))
    expect(ids.toSorted(compareSnowflakes)).toEqual(ids)
    expect(messages).toHaveLength(10)
    const now = await storeClock()
    for (const { createdAt } of messages) expect(Math.abs(Date.parse(createdAt) - now)).toBeLessThan(clockSlackMs + 5_000)
  })
})

test('a send that has waited too long behind others is told so, and is not written', async () => {
  const { database } = app.app
  const sends = createSendBatcher({
    // A store that answers each statement after a while.
    database: { ...database, run: async (...statement) => (await sleep(300), database.run(...statement)) },
    snowflakes,
    announce: () => {},
    maxWaitMs: 200,
  })
  await say(alice, channelId, 'first')
  const outcomes = Promise.allSettled([sends.send(id, 0, send(alice, 'held up')), sends.send(id, 0, send(bob, 'behind it'))])
  expect(await outcomes).toMatchObject([
    { status: 'fulfilled', value: { outcome: 'sent' } },
    { status: 'rejected', reason: { code: 'UNAVAILABLE' } },
  ])
  expect((await history(alice, channelId)).map(({ content }) => content)).toEqual(['first', 'held up'])
  await sends.drain()
})
