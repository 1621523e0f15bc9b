import { expect, test } from 'vitest'
import { snowflakeTime } from '../message-store/snowflake.ts'
import type { Entry } from './entry.ts'
import { createDigest, planChannel } from './plan.ts'

const noon = Date.UTC(2020, 0, 1, 12)

/** Entries of one channel: what is said, how many seconds after noon, and which one it answers. */
const entries = (...said: [text: string, seconds: number, replyTo?: string][]): Entry[] =>
  said.map(([text, seconds, replyTo], place) => ({
    line: place + 1,
    channel: 'tea',
    id: text,
    at: noon + seconds * 1_000,
    author: 'alice',
    text,
    action: false,
    replyTo: replyTo ?? null,
    mentions: null,
  }))

const textsOf = (said: Entry[]) => planChannel('tea', said).messages.map((message) => message.entry.text)

test('messages stand in the order of their times, and in that of the file where these are equal', () => {
  expect(textsOf(entries(['c', 3], ['a', 1], ['b1', 2], ['b2', 2], ['b3', 2]))).toEqual(['a', 'b1', 'b2', 'b3', 'c'])
})

test('what is dated before the message that it answers comes after it, and so does what answers that', () => {
  const said = entries(['before', 5], ['root', 10], ['reply', 1, 'root'], ['its reply', 2, 'reply'], ['after', 11])
  const { messages } = planChannel('tea', said)
  expect(messages.map((message) => message.entry.text)).toEqual(['before', 'root', 'reply', 'its reply', 'after'])
  expect(messages.map((message) => (+snowflakeTime(message.id) - noon) / 1_000)).toEqual([5, 10, 10, 10, 11])
})

test('ids tell the times, grow, and are the same when more is said afterwards', () => {
  const said = entries(['a', 1], ['b', 1], ['c', 1, 'a'], ['d', 2], ['e', 3, 'd'])
  const { messages } = planChannel('tea', said)
  const ids = messages.map((message) => BigInt(message.id))
  expect(ids).toEqual(ids.toSorted((a, b) => (a < b ? -1 : 1)))
  expect(new Set(ids).size).toBe(5)
  expect(messages.map((message) => +snowflakeTime(message.id))).toEqual(said.map((entry) => entry.at))
  expect(messages.map((message) => message.replyToId)).toEqual([null, null, messages[0]!.id, null, messages[3]!.id])
  expect(planChannel('tea', said.slice(0, 3)).messages).toEqual(messages.slice(0, 3))
})

test('the digest tells what was said from anything else, and goes on with it', () => {
  const said = entries(['a', 1], ['b', 2], ['c', 3, 'a'])
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const digest = (list: Entry[], count: number) => hex(createDigest(planChannel('tea', list)).at(count))
  const whole = digest(said, 3)
  expect(digest(said.slice(0, 2), 2)).toBe(digest(said, 2))
  const running = createDigest(planChannel('tea', said))
  running.at(1)
  expect(hex(running.at(3))).toBe(whole)
  const last = said[2]!
  const others: Partial<Entry>[] = [
    { text: 'C' },
    { author: 'bob' },
    { at: last.at + 1 },
    { replyTo: 'b' },
    { action: true },
    { mentions: [] },
    { id: 'x' },
  ]
  for (const other of others) expect(digest([...said.slice(0, 2), { ...last, ...other }], 3)).not.toBe(whole)
  expect(digest([...said.slice(0, 2), { ...last, line: 99 }], 3)).toBe(whole)
})
