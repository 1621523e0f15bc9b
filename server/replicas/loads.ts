/** What is known of one replica when somebody is to be sent somewhere. */
export type Known = {
  /** Open there, as it has said last, and how many of them it has opened in the last `arrivalMs`. */
  sockets: number
  arrived: number
  /** How many all replicas have sent there in that time, as far as they have told. */
  sent: number
  /** How many this process has sent there and not told yet. */
  untold: number
}

/**
 * How many a replica has, with those on their way to it.
 *
 * - Who was sent is on the way until somebody has arrived in their place. Who was sent and never comes counts for
 *   `arrivalMs`. Where others arrive who were sent by nobody, fewer count as on their way than are.
 * - Other replicas send people, too, and have not told yet. They are asked as often as this one, so that it takes them
 *   for as many times its own as there are of them, less what chance may have added (two standard deviations): one who
 *   was sent to some place here says nothing of the others, a hundred do. Thousands who come in the same second to
 *   replicas of which none knows what the others do are so kept within the bound. A process that is asked alone counts
 *   too many for the moment until it has told, of all alike.
 */
export function loadOf({ sockets, arrived, sent, untold }: Known, senders: number): number {
  const byOthers = Math.max(0, untold - 2 * Math.sqrt(untold)) * (senders - 1)
  return sockets + Math.max(0, sent - arrived) + untold + Math.floor(byOthers)
}

/** Counts what has happened in the last `windowMs`, to the second. */
export function createRecent(windowMs: number, now: () => number = () => performance.now()) {
  const bySecond = new Map<number, number>()
  const second = () => Math.floor(now() / 1_000)
  function forget() {
    const oldest = second() - windowMs / 1_000
    for (const each of bySecond.keys()) if (each <= oldest) bySecond.delete(each)
  }
  return {
    add() {
      const current = second()
      const count = bySecond.get(current)
      if (count === undefined) forget()
      bySecond.set(current, (count ?? 0) + 1)
    },
    count() {
      forget()
      let sum = 0
      for (const count of bySecond.values()) sum += count
      return sum
    },
  }
}
