import type { CatchUp } from '../../message-store/catch-up.ts'
import { createCatchUp } from '../../message-store/catch-up.ts'
import type { Change, Position } from '../../message-store/changes.ts'
import type { MessageStore } from '../../message-store/message-store.ts'
import type { Admission } from './admission.ts'
import { asTouched } from '../channel-source.ts'
import { createRecentPages, type Hold, type RecentPage } from './recent-pages.ts'
import type { Standings } from './standings.ts'
import { pageSize as usualPageSize, type Walk, type Walks } from './walk.ts'

/** Has every message told as new, with what touched it last beside it: what each reader is told is made from that. */
const allAsNew: CatchUp = { tellsFirst: () => true }

export type SharedWalks = Walks<Change> & {
  /** What is kept of pages. */
  size(): { pages: number; changes: number; characters: number }
  close(): void
}

/**
 * How those who come back to channels read what they have missed: from pages that they share, by `RecentPages`, in the
 * turns of `admission`.
 *
 * **What a message is told as.** That depends on what its reader was told before, and not on whose page it is: a page
 * holds each message as new, and each walk has a memory of its own, which makes of that, as it is told, what
 * `changesSince` would have made. Most agree; so there are two objects for each change at the most, the same for
 * everybody, and what is answered to one can be answered to all.
 *
 * **Who may have a page.** Whoever was a member in the moment that it shows. Of the one who asked for it the page says
 * so. Of the others the store says it once the page is there: a member now, who joined not after the page's end, has
 * been one ever since, as the page ends where the channel stood in its moment, or before. Who has joined later reads by
 * themselves.
 */
export function createSharedWalks(options: {
  store: Pick<MessageStore, 'changesSince'>
  admission: Pick<Admission, 'run'>
  standings: Pick<Standings, 'find'>
  pageSize?: number
  keptMs?: number
  maxChanges?: number
  maxCharacters?: number
}): SharedWalks {
  const { store, admission, standings, pageSize = usualPageSize } = options
  const readPage = (channelId: string, after: Position, userId: string) =>
    store.changesSince(channelId, after, pageSize, userId, allAsNew)
  const pages = createRecentPages({ ...options, pageSize, read: readPage })

  /** What of a page comes after a position. It may be the page's own array. */
  const newOf = ({ changes }: RecentPage, { change }: Position): Change[] => {
    const first = changes.findIndex((each) => each.change > change)
    return first === 0 ? changes : first === -1 ? [] : changes.slice(first)
  }

  function begin(channelId: string, userId: string, from: Position): Walk<Change> {
    const told = createCatchUp(from.change)
    const hold: Hold = { leave: null }
    const closing = new AbortController()
    /** When the last page was there: the next must have been asked for later. */
    let notBefore = 0

    async function readAlone(after: Position) {
      const page = await admission.run(userId, () => readPage(channelId, after, userId), closing.signal)
      notBefore = pages.tick()
      return page === null || !page.member ? 'forbidden' : page
    }

    return {
      async read(after, mustReach) {
        const called = pages.now()
        const page = await pages.find(channelId, userId, { after, notBefore, mustReach }, hold)
        if (page === null) return 'forbidden'
        if (page.userId === userId && page.asked > called) {
          if (!page.member) return 'forbidden'
        } else {
          const standing = await standings.find(channelId, userId)
          if (standing === null || standing.member === null) return 'forbidden'
          if (standing.member.joined.change > page.position.change) return readAlone(after)
        }
        notBefore = page.answered
        const { position } = page
        return {
          changes: newOf(page, after),
          position: { change: Math.max(after.change, position.change), seq: Math.max(after.seq, position.seq) },
          complete: page.complete && (position.change >= mustReach || page.asked > called),
        }
      },
      tell: (change) => (change.type === 'message' && !told.tellsFirst(change.message) ? asTouched(change) : change),
      close() {
        hold.leave?.()
        closing.abort()
      },
    }
  }

  return { begin, size: pages.size, close: pages.close }
}
