import { createCatchUp } from '../../message-store/catch-up.ts'
import type { Position } from '../../message-store/changes.ts'
import type { Admission } from './admission.ts'
import type { Item, MissedPage, Source } from '../source.ts'

/** Changes that a reader asks the store for at once. */
export const pageSize = 100

/** One reader's way through what it has missed. */
export type Walk<T extends Item> = {
  /**
   * What changed after `after`, which is where the walk began or beyond. It may have been read some seconds ago; but
   * where it says that this was all, it reaches `mustReach`, or was read after this call. 'forbidden' to who may not
   * have it, or where there is no such stream. Rejects where the store cannot be asked; trying again is safe.
   */
  read(after: Position, mustReach: number): Promise<Omit<MissedPage<T>, 'member'> | 'forbidden'>
  /** An item of a page as it is to this reader. To be called for each that is told, as it is told. */
  tell(item: T): T
  /** Nobody waits for what is being read. */
  close(): void
}

/** How those who come back read what they have missed of one kind of stream. */
export type Walks<T extends Item> = {
  /** Begins where `userId` stands in the stream `id`. */
  begin(id: string, userId: string, from: Position): Walk<T>
}

/** Each reads by itself, when it is its turn: for streams that have one reader, as accounts do. */
export const createOwnWalks = <T extends Item>(source: Source<T>, admission: Pick<Admission, 'run'>): Walks<T> => ({
  begin(id, userId, from) {
    const catchUp = createCatchUp(from.change)
    const closing = new AbortController()
    return {
      async read(after) {
        const read = () => source.since(id, after, pageSize, userId, catchUp)
        const page = await admission.run(userId, read, closing.signal)
        return page === null || !page.member ? 'forbidden' : page
      },
      tell: (item) => item,
      close: () => closing.abort(),
    }
  },
})
