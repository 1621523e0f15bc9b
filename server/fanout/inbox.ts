import { and, eq, isNull } from 'drizzle-orm'
import { members } from '../../drizzle/tables/index.ts'
import { badInput } from '../errors.ts'
import type { Change, Position } from '../message-store/changes.ts'
import type { MemberRow } from '../message-store/rows.ts'
import type { AccountItem } from './account-source.ts'
import type { Telling } from './audience.ts'
import { decodeCursor } from './cursor.ts'
import type { Feeds } from './feed.ts'
import type { PushStream, Subscriber } from './group.ts'
import { type Follower, Leg } from './leg.ts'
import { patiently } from './patience.ts'
import { Pump } from './pump.ts'
import { openReader } from './reader.ts'
import { createRoom } from './room.ts'
import type { Item, Source } from './source.ts'
import { dismisses } from './channel-source.ts'
import { checkCursorIsGood, type StreamDeps } from './streams.ts'
import type { Walks } from './walk.ts'

/** What an inbox tells: a change of a channel or of the account, or that all which happened before is told. */
export type InboxItem =
  | { type: 'change'; change: Change }
  | { type: 'account'; change: AccountItem }
  /** The viewer's read position has moved with a message of their own, which comes next; told on the channel's stream. */
  | { type: 'ownRead'; channelId: string; userId: string; position: Position }
  | { type: 'synced'; userId: string; position: Position }

/** Cursors of one inbox: a channel each, and people with more channels than this do not exist. */
const maxCursors = 10_000

/** Readers that are opened at once: the bus is asked for so many topics, and the store for their heads in one query. */
const openedAtOnce = 256

const accountKey = 'account'

/**
 * Everything that concerns one user: the account's stream and those of all their channels, in any order between
 * streams and in order within each. Streams that `after` does not name begin now. Throws BAD_USER_INPUT for what is no
 * cursor of theirs, CURSOR_EXPIRED for one from the future, or from before what is kept, where its field says which; and
 * RATE_LIMITED where too many come back just now.
 */
export async function openInbox(
  deps: StreamDeps,
  viewerId: string,
  after: readonly string[],
): Promise<PushStream<InboxItem>> {
  const held = readCursors(after, viewerId)
  deps.admission.check()
  const pump = new InboxStream()
  const room = createRoom()
  /** Streams that may have something to tell. */
  const ready = new Set<string>()
  const legs = new Map<string, Leg>()
  /** The channel whose page is being told. It goes first: an inbox holds one page, and not one for each channel. */
  let onPage: string | null = null
  /** Told next, before anything is read. */
  const told: InboxItem[] = []
  let synced = false
  const isClosed = () => pump.isClosed

  function listen<T extends Item>(stream: { source: Source<T>; feeds: Feeds<T>; walks: Walks<T> }, id: string, key: string) {
    const onReady = () => {
      ready.add(key)
      pump.wake()
    }
    return openReader({ ...stream, id, userId: viewerId, room, onReady })
  }

  const follower: Follower = {
    userId: viewerId,
    audiences: deps.audiences,
    telling: inboxTelling,
    subscriber: null,
    reopen: (channelId) => listen(deps.channels, channelId, channelId),
    onUnseated(channelId) {
      ready.add(channelId)
      pump.wake()
    },
  }

  const account = await listen(deps.accounts, viewerId, accountKey)
  if (account === null) throw new Error('An account always has a head')
  ready.add(accountKey)

  const close = () => {
    account.close()
    for (const leg of legs.values()) leg.close()
    legs.clear()
  }

  /** Listens to a channel. The leg must be told where to begin. */
  async function follow(channelId: string): Promise<Leg | null> {
    const reader = await listen(deps.channels, channelId, channelId)
    if (reader === null) return null
    const leg = new Leg(follower, channelId, reader)
    legs.set(channelId, leg)
    if (isClosed()) close()
    return leg
  }

  function forget(channelId: string) {
    legs.get(channelId)?.close()
    legs.delete(channelId)
    if (onPage === channelId) onPage = null
  }

  /**
   * The viewer's membership, as of now. Where channels and accounts lie on several machines, one half of a transaction
   * can be seen some milliseconds before the other; but until then it holds the channel.
   */
  async function membershipAtRest(channelId: string): Promise<MemberRow[]> {
    await deps.database.run('/* channel at rest */ select from channels where id = $1 for share', [channelId])
    return deps.database.orm
      .select()
      .from(members)
      .where(and(eq(members.channelId, channelId), eq(members.userId, viewerId), isNull(members.leftAt)))
  }

  /** Follows what the viewer has joined since it was last looked at, from where they joined. */
  async function followAgain(channelId: string): Promise<void> {
    if (legs.has(channelId)) return
    const leg = await follow(channelId)
    const [member] = await membershipAtRest(channelId).catch((error: unknown) => {
      forget(channelId)
      throw error
    })
    if (member === undefined) forget(channelId)
    else leg?.begin({ change: member.joinedChange, seq: member.joinedSeq })
    ready.add(channelId)
  }

  async function stepChannel(channelId: string): Promise<InboxItem | null> {
    const leg = legs.get(channelId)
    if (leg === undefined) return null
    const position = leg.standsAt()
    const step = await patiently(() => leg.step(), isClosed)
    onPage = leg.isOnPage() ? channelId : null
    if (step === 'nothing') return null
    ready.add(channelId)
    if (step === 'forbidden' || dismisses(step.change, viewerId)) {
      // Nothing of this channel any more; the account's stream tells that it was left. Unless they are back already.
      forget(channelId)
      await patiently(() => followAgain(channelId), isClosed)
      return null
    }
    const { change, missed } = step
    const item = itemOf(change)
    // Of what was missed it is not known which of one's own messages are new to the device; telling it again is right.
    const own = change.type === 'message' && (change.kind === 'CREATED' || missed) ? change.message.authorId : null
    if (own !== viewerId) return item
    // Before the message, with the cursor before it: whoever is cut off between the two is told of both again.
    told.push(item)
    return { type: 'ownRead', channelId, userId: viewerId, position }
  }

  async function stepAccount(): Promise<InboxItem | null> {
    const step = await patiently(account!.step, isClosed)
    if (step === 'nothing' || step === 'forbidden') return null
    ready.add(accountKey)
    const { change } = step
    if (change.kind === 'MEMBERSHIP') await patiently(() => followAgain(change.channelId), isClosed)
    return { type: 'account', change }
  }

  /** Lets each reader begin where its cursor stands, or else where its stream does. */
  async function begin(): Promise<void> {
    const [accountHead] = await deps.accounts.heads([viewerId])
    if (held.account !== null) checkCursorIsGood(held.account, accountHead!, held.account.field)
    account!.begin(held.account ?? accountHead!, accountHead!.change)

    // What is joined from here on comes on the account's stream.
    const before = await deps.standings.memberships(viewerId)
    for (let start = 0; start < before.length; start += openedAtOnce) {
      await Promise.all(before.slice(start, start + openedAtOnce).map((member) => follow(member.channelId)))
    }
    const heads = await deps.channels.heads([...legs.keys()])
    // Whoever was put out while the readers opened is out by now; whoever is put out later, the readers see to go.
    const own = new Map((await deps.standings.memberships(viewerId)).map((member) => [member.channelId, member]))
    for (const head of heads) {
      const member = own.get(head.id)
      if (member === undefined) {
        forget(head.id)
        continue
      }
      const cursor = held.channels.get(head.id)
      const position = cursor ?? head
      // A cursor from before the viewer last joined: what happened between is none of theirs to hear.
      const joined = { change: member.joinedChange, seq: member.joinedSeq }
      const from = position.change < joined.change ? joined : position
      if (cursor !== undefined) checkCursorIsGood(cursor, head, cursor.field, from)
      legs.get(head.id)!.begin(from, head.change)
      ready.add(head.id)
    }
    // An inbox stays open for days, and never looks at them again.
    held.channels.clear()
  }

  try {
    await begin()
  } catch (error) {
    close()
    throw error
  }

  pump.steps = {
    async next() {
      for (;;) {
        const next = told.shift()
        if (next !== undefined) return next
        const key = onPage ?? ready.values().next().value
        if (key === undefined) {
          if (synced) return null
          synced = true
          return { type: 'synced', userId: viewerId, position: account.position() }
        }
        // To the end of the line, so that a busy channel does not keep the others from being heard.
        ready.delete(key)
        const item = key === accountKey ? await stepAccount() : await stepChannel(key)
        if (item !== null) return item
      }
    },
    isAtHand: () => told.length > 0 || onPage !== null,
    goLive(subscriber) {
      follower.subscriber = subscriber
    },
    close,
  }
  return pump
}

/** What an inbox does when it is asked. */
type Steps = {
  next(): Promise<InboxItem | null>
  isAtHand(): boolean
  goLive(subscriber: Subscriber): void
  close(): void
}

class InboxStream extends Pump<InboxItem> {
  /** Given before anything is read. */
  steps!: Steps

  next(): Promise<InboxItem | null> {
    return this.steps.next()
  }

  isAtHand(): boolean {
    return this.steps.isAtHand()
  }

  goLive(subscriber: Subscriber): void {
    this.steps.goLive(subscriber)
  }

  close(): void {
    this.steps.close()
  }
}

/** The item of each change, the same for all inboxes. */
const items = new WeakMap<Change, InboxItem>()

function itemOf(change: Change): InboxItem {
  const known = items.get(change)
  if (known !== undefined) return known
  const item: InboxItem = { type: 'change', change }
  items.set(change, item)
  return item
}

const inboxTelling: Telling = {
  itemOf,
  forOne(change) {
    if (change.type !== 'message' || change.kind !== 'CREATED') return null
    const { channelId, message } = change
    const position = { change: change.change - 1, seq: change.seq - 1 }
    return { userId: message.authorId, item: { type: 'ownRead', channelId, userId: message.authorId, position } }
  },
}

/** A position that a client holds, and where in the input it stands. */
type HeldCursor = Position & { field: string }

function readCursors(after: readonly string[], viewerId: string) {
  if (after.length > maxCursors) throw badInput(`At most ${maxCursors} cursors.`, 'after')
  const channels = new Map<string, HeldCursor>()
  let account: HeldCursor | null = null
  for (const [place, text] of after.entries()) {
    const cursor = decodeCursor(text)
    if (cursor === null || (cursor.kind === 'account' && cursor.id !== viewerId)) {
      throw badInput('This is not a cursor of yours.', 'after')
    }
    const position = { change: cursor.change, seq: cursor.seq, field: `after.${place}` }
    if (cursor.kind === 'account') account = position
    else channels.set(cursor.id, position)
  }
  return { account, channels }
}
