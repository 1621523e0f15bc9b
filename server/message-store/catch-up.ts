/**
 * What somebody was told who reads on from a position, page by page, while the channel goes on changing. A message
 * that is touched before its page is read is not told where it was created but where it was touched last, as a later
 * page has it: this remembers enough to know that it is new then, too.
 */
export type CatchUp = {
  /** Whether a message that stands on the page now being read has not been told on an earlier one, nor before. */
  isNew(message: { change: number; version: number }): boolean
  /** Ends a page: it went up to change `end`, and the channel stood at `head` when it was read. */
  turn(end: number, head: number): void
}

/** Begins to read on after change `from`. */
export function createCatchUp(from: number): CatchUp {
  const pages: { end: number; head: number }[] = []
  return {
    isNew({ change, version }) {
      if (change <= from) return false
      const own = pages[firstUpTo(pages, change)]
      // Who was touched before the page that it would have stood on was read did not stand on it.
      return own === undefined || version <= own.head
    },
    turn: (end, head) => void pages.push({ end, head }),
  }
}

/** The first page that goes up to a change; pages only go further. Their number is that of all that was missed. */
function firstUpTo(pages: readonly { end: number }[], change: number): number {
  let [low, high] = [0, pages.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (change <= pages[middle]!.end) high = middle
    else low = middle + 1
  }
  return low
}
