import { expect } from 'vitest'
import type { Database } from '../../drizzle/connection.ts'
import { expectedFailure } from '../errors.ts'
import { bucketOf } from '../message-store/bucket-time.ts'
import { createCatchUp } from '../message-store/catch-up.ts'
import type { Change, ChangePage, Position } from '../message-store/changes.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { compareSnowflakes } from '../message-store/snowflake.ts'
import { alice, type Process } from './two-stores.ts'

export const numbersTo = (last: number) => Array.from({ length: last }, (_, nth) => nth + 1)

/** Where a channel stands. */
export async function headOf({ store }: Process, channelId: string) {
  const [head] = await store.heads([channelId])
  return head!
}

/** Reads a channel's messages as a reader does, page by page, as far as it had come when it was asked. */
export async function readAll(process: Process, channelId: string, size = 100): Promise<MessageRow[]> {
  const { seq, change } = await headOf(process, channelId)
  const messages: MessageRow[] = []
  for (let from = 1; from <= seq; from += size) {
    const span = { from, to: Math.min(seq, from + size - 1) }
    messages.push(...(await process.store.pages([{ channelId, span, anchor: 'start', change }]))[0]!)
  }
  return messages
}

/** Checks that a channel is in one order, which all these processes see; returns its messages. */
export async function expectOneOrder(processes: readonly Process[], channelId: string): Promise<MessageRow[]> {
  const [messages, ...others] = await Promise.all(processes.map((process) => readAll(process, channelId)))
  for (const other of others) expect(other).toEqual(messages)
  const { seq, change } = await headOf(processes[0]!, channelId)
  expect(messages!.map((message) => message.seq)).toEqual(numbersTo(seq))
  expect(messages!.toSorted((a, b) => compareSnowflakes(a.id, b.id))).toEqual(messages)
  expect(messages!.toSorted((a, b) => a.change - b.change)).toEqual(messages)
  expect(new Set(messages!.map(({ id }) => id)).size).toBe(seq)
  for (const message of messages!) expect(message.version).toBeLessThanOrEqual(change)
  return messages!
}

/** Checks that these are all changes that a channel has seen: each number once, and each with where the channel stood. */
export function expectAllChanges(changes: readonly Change[], head: Position) {
  const inOrder = changes.toSorted((a, b) => a.change - b.change)
  expect(inOrder.map(({ change }) => change)).toEqual(numbersTo(head.change))
  let seq = 0
  for (const change of inOrder) {
    const isNew = change.type === 'message' && change.kind === 'CREATED'
    if (isNew) expect(change.message).toMatchObject({ seq: ++seq, change: change.change })
    // The changes of one batch may all say where it has ended.
    expect(change.seq).toBeGreaterThanOrEqual(seq)
    expect(change.seq).toBeLessThanOrEqual(head.seq)
  }
  expect(seq).toBe(head.seq)
}

/** Reads on from a position until that was all; `meanwhile` is called between two pages. */
export async function readOn(
  { store }: Process,
  channelId: string,
  after: Position,
  { limit = (): number => 100, meanwhile = async () => {}, userId = alice as string } = {},
): Promise<{ pages: ChangePage[]; changes: Change[]; position: Position }> {
  const catchUp = createCatchUp(after.change)
  const pages: ChangePage[] = []
  let position = after
  for (;;) {
    const most = limit()
    const page = (await store.changesSince(channelId, position, most, userId, catchUp))!
    expect(page.changes.length).toBeLessThanOrEqual(most)
    // Nobody who reads on stays where they are, or is sent back.
    expect(page.position.change).toBeGreaterThanOrEqual(position.change)
    expect(page.position.seq).toBeGreaterThanOrEqual(position.seq)
    if (!page.complete) expect(page.position).not.toEqual(position)
    pages.push(page)
    position = page.position
    if (page.complete) return { pages, changes: pages.flatMap(({ changes }) => changes), position }
    await meanwhile()
  }
}

/** A channel as it is kept by who has been told of these changes. */
export type Copy = { messages: Map<string, MessageRow>; members: Map<string, { role: string; leftAt: Date | null }> }

/** Applies changes as a reader does, to whom the last word on a thing is what it is. */
export function applyTo(copy: Copy, changes: readonly Change[]): Copy {
  for (const change of changes) {
    if (change.type === 'message') copy.messages.set(change.message.id, change.message)
    if (change.type === 'member') copy.members.set(change.member.userId, change.member)
  }
  return copy
}

export const emptyCopy = (): Copy => ({ messages: new Map(), members: new Map() })

/** Tables of what is in a channel, by what their rows name it. */
const tables = {
  channels: 'id', members: 'channel_id', messages: 'channel_id', channel_buckets: 'channel_id',
  message_changes: 'channel_id', send_keys: 'channel_id', mentions: 'channel_id', reactions: 'channel_id',
  replies: 'channel_id', threads: 'channel_id', outbox: 'channel_id',
} as const

export type Rows = Record<keyof typeof tables, Record<string, unknown>[]>

/** All rows of a channel, each table's in an order that is always the same. */
export async function rowsOf(database: Database, channelId: string): Promise<Rows> {
  const found = await Promise.all(
    Object.entries(tables).map(async ([table, column]) => {
      const rows = await database.run<Record<string, unknown>>(`select * from ${table} where ${column} = $1`, [channelId])
      return [table, rows.map((row) => [JSON.stringify(row), row] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)]
    }),
  )
  return Object.fromEntries(found) as Rows
}

/**
 * Checks that all is there that belongs to a channel's messages, and nothing else. `sent` are those that came by sends,
 * and not from the system or an import.
 */
export async function expectBelongings(
  database: Database,
  channelId: string,
  messages: readonly MessageRow[],
  sent: readonly MessageRow[] = messages.filter(({ kind }) => kind === 'USER'),
) {
  const rows = await rowsOf(database, channelId)
  const told = (table: keyof Rows, ...columns: string[]) =>
    rows[table].map((row) => columns.map((column) => row[column]).join(' ')).toSorted()
  const replies = messages.filter(({ replyToId }) => replyToId !== null)
  expect(told('messages', 'id')).toEqual(messages.map(({ id }) => id).toSorted())
  expect(told('send_keys', 'message_id')).toEqual(sent.map(({ id }) => id).toSorted())
  expect(told('mentions', 'message_id', 'seq', 'user_id')).toEqual(
    messages.flatMap(({ id, seq, mentionIds }) => mentionIds.map((userId) => `${id} ${seq} ${userId}`)).toSorted(),
  )
  expect(told('replies', 'message_id', 'seq', 'root_id')).toEqual(
    replies.map(({ id, seq, replyToId }) => `${id} ${seq} ${replyToId}`).toSorted(),
  )
  for (const { id, replyCount } of messages) expect(replyCount).toBe(replies.filter(({ replyToId }) => replyToId === id).length)

  // Who is answered follows from there, and who answers from their newest answer.
  const followers = new Map<string, number>()
  const follow = (rootId: string, { authorId, seq }: MessageRow) =>
    followers.set(`${rootId} ${authorId}`, Math.max(followers.get(`${rootId} ${authorId}`) ?? 0, seq))
  for (const reply of replies) {
    follow(reply.replyToId!, messages.find(({ id }) => id === reply.replyToId)!)
    follow(reply.replyToId!, reply)
  }
  expect(told('threads', 'message_id', 'user_id', 'last_read_seq')).toEqual(
    Array.from(followers, ([follower, seq]) => `${follower} ${seq}`).toSorted(),
  )
  for (const { user_id, last_read_seq, joined_seq } of rows.members) {
    const own = messages.filter(({ authorId }) => authorId === user_id).map(({ seq }) => seq)
    expect(last_read_seq).toBe(Math.max(Number(joined_seq), ...own))
  }
  const spans = rows.outbox.flatMap((row) => numbersTo(Number(row.last_seq)).slice(Number(row.first_seq) - 1))
  expect(spans.toSorted((a, b) => a - b)).toEqual(sent.map(({ seq }) => seq))
  const firsts = messages.filter(({ id }, nth) => nth === 0 || bucketOf(id) > bucketOf(messages[nth - 1]!.id))
  expect(told('channel_buckets', 'first_seq', 'first_change', 'bucket')).toEqual(
    firsts.map(({ id, seq, change }) => `${seq} ${change} ${bucketOf(id)}`).toSorted(),
  )
}

/** What a promise fails with: the code that callers are told, if it is one, or else what was thrown; null where it does not fail. */
export const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => null,
    (error: unknown) => expectedFailure(error)?.code ?? error,
  )
