/**
 * What somebody was told who reads on from a position, page by page, while the channel goes on changing. A message
 * that is touched before its page is read is not told where it was created but where it was touched last, as a later
 * page has it, and by then it may have been touched again: what it is now does not say whether it has been told.
 */
export type CatchUp = {
  /** Notes that a message is told, and says whether that is for the first time. */
  tellsFirst(message: { change: number; seq: number }): boolean
}

/** Seqs in one chunk of the memory: a bit each. */
const chunkBits = 13

/** Begins to read on after change `from`. It takes a bit for each message that was missed. */
export function createCatchUp(from: number): CatchUp {
  const chunks = new Map<number, Uint8Array>()
  return {
    tellsFirst({ change, seq }) {
      // Created before, and so it was told before.
      if (change <= from) return false
      const nth = seq >> chunkBits
      let chunk = chunks.get(nth)
      if (chunk === undefined) chunks.set(nth, (chunk = new Uint8Array(1 << (chunkBits - 3))))
      const [byte, bit] = [(seq >> 3) & (chunk.length - 1), 1 << (seq & 7)]
      const isFirst = (chunk[byte]! & bit) === 0
      chunk[byte]! |= bit
      return isFirst
    },
  }
}
