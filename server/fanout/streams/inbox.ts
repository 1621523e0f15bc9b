import { and, eq, isNull } from 'drizzle-orm'
import { members } from '../../../drizzle/tables/index.ts'
import type { Change, Position } from '../../message-store/changes.ts'
import type { MemberRow } from '../../message-store/rows.ts'
import type { AccountItem } from '../account-source.ts'
import type { Telling } from '../live/audience.ts'
import { dismisses } from '../channel-source.ts'
import type { Feeds } from '../feed.ts'
import type { PushStream } from '../live/group.ts'
import { FollowingStream } from './following-stream.ts'
import { checkCursorIsGood, readCursors } from './held-cursors.ts'
import { type InboxItem, inboxTelling, itemOf } from './inbox-item.ts'
import { Leg } from '../live/leg.ts'
import { patiently } from '../returning/patience.ts'
import { openReader, type Reader } from '../returning/reader.ts'
import { createRoom } from '../returning/room.ts'
import type { Item, Source } from '../source.ts'
import type { StreamDeps } from './stream-deps.ts'
import type { Walks } from '../returning/walk.ts'

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
  const inbox = new InboxStream(deps, viewerId)
  try {
    await inbox.open(held)
  } catch (error) {
    inbox.stop()
    throw error
  }
  return inbox
}

/** The channel whose stream an item is told on; null for the account's. */
function channelOf(item: InboxItem): string | null {
  if (item.type === 'ownRead') return item.channelId
  return item.type === 'change' ? item.change.channelId : null
}

/** An inbox: a leg for each channel, and a reader of the account, of which there is no audience to sit in. */
class InboxStream extends FollowingStream<InboxItem> {
  readonly #room = createRoom()
  /** Streams that may have something to tell. */
  readonly #ready = new Set<string>()
  readonly #legs = new Map<string, Leg>()
  /** Channels that have caught up, and sit down when all that was read is told. */
  readonly #toSeat = new Set<string>()
  #account: Reader<AccountItem> | null = null
  /** The channel whose page is being told. It goes first: an inbox holds one page, and not one for each channel. */
  #onPage: string | null = null
  /** Told next, before anything is read. */
  #held: InboxItem | null = null
  #isSynced = false

  get telling(): Telling {
    return inboxTelling
  }

  /** Lets each stream begin where its cursor stands, or else where it is now. */
  async open(held: ReturnType<typeof readCursors>): Promise<void> {
    const { accounts, channels, standings } = this.deps
    const account = await this.#listen(accounts, this.userId, accountKey)
    if (account === null) throw new Error('An account always has a head')
    this.#account = account
    this.#ready.add(accountKey)
    const [accountHead] = await accounts.heads([this.userId])
    if (held.account !== null) checkCursorIsGood(held.account, accountHead!, held.account.field)
    account.begin(held.account ?? accountHead!, accountHead!.change)

    // What is joined from here on comes on the account's stream.
    const before = await standings.memberships(this.userId)
    for (let start = 0; start < before.length; start += openedAtOnce) {
      await Promise.all(before.slice(start, start + openedAtOnce).map((member) => this.#follow(member.channelId)))
    }
    const heads = await channels.heads([...this.#legs.keys()])
    // Whoever was put out while the readers opened is out by now; whoever is put out later, the readers see to go.
    const own = new Map((await standings.memberships(this.userId)).map((member) => [member.channelId, member]))
    for (const head of heads) {
      const member = own.get(head.id)
      if (member === undefined) {
        this.#forget(head.id)
        continue
      }
      const cursor = held.channels.get(head.id)
      const position = cursor ?? head
      // A cursor from before the viewer last joined: what happened between is none of theirs to hear.
      const joined = { change: member.joinedChange, seq: member.joinedSeq }
      const from = position.change < joined.change ? joined : position
      if (cursor !== undefined) checkCursorIsGood(cursor, head, cursor.field, from)
      this.#legs.get(head.id)!.begin(from, head.change)
      this.#ready.add(head.id)
    }
  }

  reopen(channelId: string): Promise<Reader<Change> | null> {
    return this.#listen(this.deps.channels, channelId, channelId)
  }

  onUnseated(channelId: string): void {
    this.#ready.add(channelId)
    this.wake()
  }

  #listen<T extends Item>(
    stream: { source: Source<T>; feeds: Feeds<T>; walks: Walks<T> },
    id: string,
    key: string,
  ): Promise<Reader<T> | null> {
    const onReady = () => this.onUnseated(key)
    return openReader({ ...stream, id, userId: this.userId, room: this.#room, onReady })
  }

  /** Listens to a channel. The leg must be told where to begin. */
  async #follow(channelId: string): Promise<Leg | null> {
    const reader = await this.reopen(channelId)
    if (reader === null) return null
    const leg = new Leg(this, channelId, reader)
    this.#legs.set(channelId, leg)
    if (this.isClosed) this.close()
    return leg
  }

  #forget(channelId: string): void {
    this.#legs.get(channelId)?.close()
    this.#legs.delete(channelId)
    if (this.#onPage === channelId) this.#onPage = null
  }

  /**
   * The viewer's membership, as of now. Where channels and accounts lie on several machines, one half of a transaction
   * can be seen some milliseconds before the other; but until then it holds the channel.
   */
  async #membershipAtRest(channelId: string): Promise<MemberRow | undefined> {
    const { database } = this.deps
    await database.run('/* channel at rest */ select from channels where id = $1 for share', [channelId])
    const own = and(eq(members.channelId, channelId), eq(members.userId, this.userId), isNull(members.leftAt))
    const [member] = await database.orm.select().from(members).where(own)
    return member
  }

  /** Follows what the viewer has joined since it was last looked at, from where they joined. */
  async #followAgain(channelId: string): Promise<void> {
    if (this.#legs.has(channelId)) return
    const leg = await this.#follow(channelId)
    let member: MemberRow | undefined
    try {
      member = await this.#membershipAtRest(channelId)
    } catch (error) {
      this.#forget(channelId)
      throw error
    }
    if (member === undefined) this.#forget(channelId)
    else leg?.begin({ change: member.joinedChange, seq: member.joinedSeq })
    this.#ready.add(channelId)
  }

  async next(): Promise<InboxItem | null> {
    for (;;) {
      const held = this.#held
      this.#held = null
      if (held !== null) return held
      if (this.isToldAll) this.#letSit()
      const key = this.#onPage ?? this.#ready.values().next().value
      if (key === undefined) return this.#sync()
      // To the end of the line, so that a busy channel does not keep the others from being heard.
      this.#ready.delete(key)
      const item = key === accountKey ? await this.#stepAccount() : await this.#stepChannel(key)
      if (item !== null) return item
    }
  }

  #letSit(): void {
    for (const channelId of this.#toSeat) this.#ready.add(channelId)
    this.#toSeat.clear()
  }

  /** Once, that all which happened before is told. */
  #sync(): InboxItem | null {
    if (this.#isSynced) return null
    this.#isSynced = true
    return { type: 'synced', userId: this.userId, position: this.#account!.position() }
  }

  async #stepChannel(channelId: string): Promise<InboxItem | null> {
    const leg = this.#legs.get(channelId)
    if (leg === undefined) return null
    const isClosed = () => this.isClosed
    const position: Position = leg.standsAt()
    const step = await patiently(() => leg.step(), isClosed)
    this.#onPage = leg.isOnPage() ? channelId : null
    if (step === 'nothing') {
      if (!this.isToldAll) this.#toSeat.add(channelId)
      return null
    }
    this.#ready.add(channelId)
    if (step === 'forbidden' || dismisses(step.change, this.userId)) {
      // Nothing of this channel any more; the account's stream tells that it was left. Unless they are back already.
      this.#forget(channelId)
      await patiently(() => this.#followAgain(channelId), isClosed)
      return null
    }
    const { change, missed } = step
    const item = itemOf(change)
    // Of what was missed it is not known which of one's own messages are new to the device; telling it again is right.
    const author = change.type === 'message' && (change.kind === 'CREATED' || missed) ? change.message.authorId : null
    if (author !== this.userId) return item
    // Before the message, with the cursor before it: whoever is cut off between the two is told of both again.
    this.#held = item
    return { type: 'ownRead', channelId, userId: this.userId, position }
  }

  async #stepAccount(): Promise<InboxItem | null> {
    const account = this.#account!
    const step = await patiently(account.step, () => this.isClosed)
    if (step === 'nothing' || step === 'forbidden') return null
    this.#ready.add(accountKey)
    const { change } = step
    if (change.kind === 'MEMBERSHIP') {
      await patiently(() => this.#followAgain(change.channelId), () => this.isClosed)
    }
    return { type: 'account', change }
  }

  isAtHand(): boolean {
    return this.#held !== null || this.#onPage !== null || this.#ready.size > 0
  }

  mayStillTell(items: readonly InboxItem[]): null | Promise<boolean[]> {
    const doubtful = new Set<string>()
    for (const item of items) {
      const channelId = channelOf(item)
      if (channelId !== null && (this.#legs.get(channelId)?.isDoubtful() ?? true)) doubtful.add(channelId)
    }
    return doubtful.size === 0 ? null : this.#withoutThose(doubtful, items)
  }

  /** Leaves the channels in which the user is not any more; from where they come back they are followed again. */
  async #withoutThose(doubtful: ReadonlySet<string>, items: readonly InboxItem[]): Promise<boolean[]> {
    const left = new Set<string>()
    for (const channelId of doubtful) {
      if (await this.isMember(channelId)) continue
      left.add(channelId)
      this.#forget(channelId)
      await patiently(() => this.#followAgain(channelId), () => this.isClosed)
    }
    return items.map((item) => !left.has(channelOf(item) ?? ''))
  }

  close(): void {
    this.#account?.close()
    for (const leg of this.#legs.values()) leg.close()
    this.#legs.clear()
  }
}
