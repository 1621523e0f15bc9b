/**
 * What something was over time, as far as whoever changed it knows: from when a change was asked for until it was
 * answered it may have been either. Moments are milliseconds since 1970.
 */
export type Timeline<T> = {
  /** Changes follow one another: each is asked for after the one before was answered. */
  set(value: T, asked: number, answered: number): void
  /** Whether at some moment from `from` to `to`, both included, it may have been so. */
  may(isSo: (value: T) => boolean, from: number, to: number): boolean
  now(): T
}

export function createTimeline<T>(initial: T): Timeline<T> {
  const pieces = [{ since: -Infinity, until: Infinity, value: initial }]
  return {
    set(value, asked, answered) {
      pieces.at(-1)!.until = answered
      pieces.push({ since: asked, until: Infinity, value })
    },
    may(isSo, from, to) {
      for (let nth = firstFrom(pieces.length, (at) => pieces[at]!.until >= from); nth < pieces.length; nth++) {
        if (pieces[nth]!.since > to) return false
        if (isSo(pieces[nth]!.value)) return true
      }
      return false
    },
    now: () => pieces.at(-1)!.value,
  }
}

/** How far somebody has read a channel: a position that never goes back. */
export type Reading = {
  add(seq: number, asked: number, answered: number): void
  /** Whether the message of this seq may have been read by then. */
  mayBeRead(seq: number, by: number): boolean
  /** Whether it may still have been unread at that moment. */
  mayBeUnread(seq: number, at: number): boolean
}

export function createReading(): Reading {
  const moves: { seq: number; asked: number; answered: number }[] = []
  /** By seq, with the earliest of what is said about this seq or a later one. */
  let sorted: typeof moves | null = null

  /** When it was first asked for, and first answered, that this seq is read. */
  function firstOf(seq: number): { asked: number; answered: number } | undefined {
    if (sorted === null) {
      sorted = moves.map((move) => ({ ...move })).toSorted((one, other) => one.seq - other.seq)
      for (let nth = sorted.length - 2; nth >= 0; nth--) {
        const [here, next] = [sorted[nth]!, sorted[nth + 1]!]
        here.asked = Math.min(here.asked, next.asked)
        here.answered = Math.min(here.answered, next.answered)
      }
    }
    const found = sorted
    return found[firstFrom(found.length, (nth) => found[nth]!.seq >= seq)]
  }

  return {
    add(seq, asked, answered) {
      moves.push({ seq, asked, answered })
      sorted = null
    },
    mayBeRead: (seq, by) => (firstOf(seq)?.asked ?? Infinity) <= by,
    mayBeUnread: (seq, at) => (firstOf(seq)?.answered ?? Infinity) >= at,
  }
}

/** The first number from 0 up to `count` that qualifies, where all after it do; `count` if none does. */
function firstFrom(count: number, qualifies: (nth: number) => boolean): number {
  let [from, to] = [0, count]
  while (from < to) {
    const middle = (from + to) >> 1
    if (qualifies(middle)) to = middle
    else from = middle + 1
  }
  return from
}
