import { and, eq, inArray, isNull } from 'drizzle-orm'
import { members } from '../../drizzle/tables/index.ts'
import { badInput } from '../errors.ts'
import { createBell, pullIterator } from '../lib/pull-iterator.ts'
import type { Change, Position } from '../message-store/changes.ts'
import type { MemberRow } from '../message-store/rows.ts'
import type { AccountItem } from './account-source.ts'
import { decodeCursor } from './cursor.ts'
import { openReader, type Reader } from './reader.ts'
import { checkNotAhead, dismisses, type StreamDeps } from './streams.ts'

/** What an inbox tells: a change of a channel or of the account, or that all which happened before is told. */
export type InboxItem =
  | { type: 'change'; change: Change }
  | { type: 'account'; change: AccountItem }
  /** The viewer's read position has moved with a message of their own; told on the channel's stream. */
  | { type: 'ownRead'; change: Change }
  | { type: 'synced'; position: Position }

/** Cursors of one inbox: a channel each, and people with more channels than this do not exist. */
const maxCursors = 10_000

/** Readers that are opened at once, so that a return after a night does not take every connection to the store. */
const openedAtOnce = 8

/**
 * Everything that concerns one user: the account's stream and those of all their channels, in any order between
 * streams and in order within each. Streams that `after` does not name begin now.
 */
export async function openInbox(
  deps: StreamDeps,
  viewerId: string,
  after: readonly string[],
): Promise<AsyncIterableIterator<InboxItem>> {
  const from = readCursors(after, viewerId)
  const bell = createBell()
  /** Streams that may have something to tell. */
  const ready = new Set<string>()
  const readers = new Map<string, Reader<Change>>()
  /** Told next, before anything is read. */
  const told: InboxItem[] = []
  let synced = false
  let closed = false

  const account = await openReader({
    ...deps.accounts,
    id: viewerId,
    userId: viewerId,
    after: from.account,
    onReady: () => {
      ready.add(accountKey)
      bell.ring()
    },
  })
  if (account === null) throw new Error('An account always has a head')
  ready.add(accountKey)

  const close = () => {
    closed = true
    account.close()
    for (const reader of readers.values()) reader.close()
    readers.clear()
  }

  async function follow(channelId: string, position: Position | null): Promise<void> {
    readers.get(channelId)?.close()
    readers.delete(channelId)
    const reader = await openReader({
      ...deps.channels,
      id: channelId,
      userId: viewerId,
      after: position,
      onReady: () => {
        ready.add(channelId)
        bell.ring()
      },
    })
    if (reader === null) return
    if (closed) {
      reader.close()
      return
    }
    readers.set(channelId, reader)
    ready.add(channelId)
  }

  const ownMemberships = (channelIds?: readonly string[]): Promise<MemberRow[]> =>
    deps.database.orm
      .select()
      .from(members)
      .where(
        and(
          eq(members.userId, viewerId),
          isNull(members.leftAt),
          channelIds === undefined ? undefined : inArray(members.channelId, [...channelIds]),
        ),
      )

  /** Follows what the viewer has joined since it was last looked at, from where they joined. */
  async function followAgain(channelId: string): Promise<void> {
    const [member] = await ownMemberships([channelId])
    if (member === undefined || readers.has(channelId)) return
    await follow(channelId, { change: member.joinedChange, seq: member.joinedSeq })
  }

  async function stepChannel(channelId: string): Promise<InboxItem | null> {
    const reader = readers.get(channelId)
    if (reader === undefined) return null
    const step = await reader.step()
    if (step === 'nothing') return null
    ready.add(channelId)
    if (step === 'forbidden' || dismisses(step.change, viewerId)) {
      // Nothing of this channel any more; the account's stream tells that it was left. Unless they are back already.
      reader.close()
      readers.delete(channelId)
      await followAgain(channelId)
      return null
    }
    const { change } = step
    if (change.type === 'message' && change.kind === 'CREATED' && change.message.authorId === viewerId) {
      told.push({ type: 'ownRead', change })
    }
    return { type: 'change', change }
  }

  async function stepAccount(): Promise<InboxItem | null> {
    const step = await account!.step()
    if (step === 'nothing' || step === 'forbidden') return null
    ready.add(accountKey)
    if (step.change.kind === 'MEMBERSHIP') await followAgain(step.change.channelId)
    return { type: 'account', change: step.change }
  }

  try {
    const own = await ownMemberships()
    for (let start = 0; start < own.length; start += openedAtOnce) {
      await Promise.all(
        own.slice(start, start + openedAtOnce).map(({ channelId, joinedChange, joinedSeq }) => {
          const held = from.channels.get(channelId) ?? null
          // A cursor from before the viewer last joined: what happened between is none of theirs to hear.
          const position = held !== null && held.change < joinedChange ? { change: joinedChange, seq: joinedSeq } : held
          return follow(channelId, position)
        }),
      )
    }
    // Whoever was put out while the readers opened is out by now; whoever is put out later, the readers see to go.
    const still = new Set((await ownMemberships()).map((member) => member.channelId))
    for (const [channelId, reader] of readers) {
      if (still.has(channelId)) continue
      reader.close()
      readers.delete(channelId)
    }
    if (from.account !== null) {
      const [head] = await deps.accounts.source.heads([viewerId])
      checkNotAhead(from.account, head!)
    }
  } catch (error) {
    close()
    throw error
  }

  return pullIterator(async () => {
    for (;;) {
      const next = told.shift()
      if (next !== undefined) return next
      const [key] = ready
      if (key === undefined) {
        if (!synced) {
          synced = true
          return { type: 'synced', position: account.position() }
        }
        await bell.wait()
        continue
      }
      // To the end of the line, so that a busy channel does not keep the others from being heard.
      ready.delete(key)
      const item = key === accountKey ? await stepAccount() : await stepChannel(key)
      if (item !== null) return item
    }
  }, close)
}

const accountKey = 'account'

function readCursors(after: readonly string[], viewerId: string) {
  if (after.length > maxCursors) throw badInput(`At most ${maxCursors} cursors.`, 'after')
  const channels = new Map<string, Position>()
  let account: Position | null = null
  for (const text of after) {
    const cursor = decodeCursor(text)
    if (cursor === null || (cursor.kind === 'account' && cursor.id !== viewerId)) {
      throw badInput('This is not a cursor of yours.', 'after')
    }
    const position = { change: cursor.change, seq: cursor.seq }
    if (cursor.kind === 'account') account = position
    else channels.set(cursor.id, position)
  }
  return { account, channels }
}
