import { createCatchUp } from '../message-store/catch-up.ts'
import type { Change, Position } from '../message-store/changes.ts'
import { createAdmission } from '../fanout/returning/admission.ts'
import { createSharedWalks, type SharedWalks } from '../fanout/returning/shared-catch-up.ts'
import { createStandings } from '../fanout/returning/standings.ts'
import type { Walk } from '../fanout/returning/walk.ts'
import type { TestApp } from './test-app.ts'

export type WalksOptions = Partial<Parameters<typeof createSharedWalks>[0]>

/** Shared walks on the store of an app, with small pages, and what was read for them: after which position, by whom. */
export function openWalks(app: TestApp, options: WalksOptions = {}) {
  const reads: { after: Position; userId: string }[] = []
  const { changesSince } = options.store ?? app.app.messages
  const admission = createAdmission({ atOnce: 4 })
  const walks = createSharedWalks({
    admission,
    standings: createStandings(app.app.database, admission),
    pageSize: 5,
    ...options,
    store: {
      changesSince(channelId, after, limit, userId, catchUp) {
        reads.push({ after, userId })
        return changesSince(channelId, after, limit, userId, catchUp)
      },
    },
  })
  return { walks, reads }
}

/** More pages than there are in any test: who reads so many does not get on. */
const maxPages = 200

/** Walks on to the end; what was told, and where that is. `pause` is waited for before each page. */
export async function walkOn(
  walk: Walk<Change>,
  from: Position,
  mustReach = 0,
  pause: () => Promise<unknown> = async () => {},
) {
  const told: Change[] = []
  let position = from
  for (let nth = 0; nth < maxPages; nth++) {
    await pause()
    const page = await walk.read(position, mustReach)
    if (page === 'forbidden') throw new Error('forbidden')
    told.push(...page.changes.map(walk.tell))
    position = page.position
    if (page.complete) return { told, position }
  }
  throw new Error('This walk does not get on')
}

/** The same from the beginning, for a user who comes back to a channel. */
export const follow = (
  walks: SharedWalks,
  channelId: string,
  userId: string,
  from: Position,
  mustReach?: number,
  pause?: () => Promise<unknown>,
) => walkOn(walks.begin(channelId, userId, from), from, mustReach, pause)

/** The same for somebody who shares nothing. */
export async function followAlone(app: TestApp, channelId: string, userId: string, from: Position) {
  const catchUp = createCatchUp(from.change)
  const told: Change[] = []
  for (let position = from; ; ) {
    const page = (await app.app.messages.changesSince(channelId, position, 5, userId, catchUp))!
    told.push(...page.changes)
    position = page.position
    if (page.complete) return { told, position }
  }
}

/** What a reader is told, but for the seqs of its cursors, which may be lower where that does no harm. */
export const withoutSeqs = (changes: Change[]) => changes.map((change) => ({ ...change, seq: 0 }))

/** Where a channel stands. */
export async function headOf(app: TestApp, channelId: string): Promise<Position> {
  const [head] = await app.app.messages.heads([channelId])
  return { change: head!.change, seq: head!.seq }
}
