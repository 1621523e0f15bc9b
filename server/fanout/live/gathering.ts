/** The longest that something waits for others to leave with it, in milliseconds. */
const maxPauseMs = 5

/** Something that has something to send: told once for each round it was added to. */
export type Sender = { send(): void }

/** Lets what is sent at about the same time leave together, one write for each socket. */
export type Gathering = {
  /** Lets a sender send in the next round. */
  add(sender: Sender): void
  /** Whether a round is under way in which only one sender sends: nothing else can leave together with what it sends. */
  isAlone(): boolean
  /** Resolves when the next round is over: what was to be sent is on its way. */
  nextRound(): Promise<void>
}

/**
 * Rounds in which everything leaves that has gathered since the last one. A round follows at once, when this turn of the
 * event loop is over, unless the one before it took long: then a pause of that length comes between, in which more
 * gathers. So a single event is not held up, a server at its limit spends half of its time on sending at the most, and
 * the more there is to send, the more goes out in one write.
 */
export function createGathering(onError: (error: unknown) => void): Gathering {
  let senders: Sender[] = []
  let waiting: (() => void)[] = []
  let isPlanned = false
  let isAlone = false
  let pauseEnds = 0

  function round() {
    isPlanned = false
    const started = performance.now()
    // Who sends may add others, such as the sockets that it writes to: they belong to this round too.
    while (senders.length > 0) {
      const now = senders
      senders = []
      isAlone = now.length === 1
      for (const sender of now) {
        // One that fails keeps nothing from the others.
        try {
          sender.send()
        } catch (error) {
          onError(error)
        }
      }
    }
    isAlone = false
    const released = waiting
    waiting = []
    for (const release of released) release()
    const ended = performance.now()
    pauseEnds = ended + Math.min(ended - started, maxPauseMs)
  }

  function plan() {
    if (isPlanned) return
    isPlanned = true
    const pause = pauseEnds - performance.now()
    // Timers count in milliseconds: for less than half of one none is worth its while.
    if (pause < 0.5) setImmediate(round)
    else setTimeout(round, pause)
  }

  return {
    add(sender) {
      senders.push(sender)
      plan()
    },
    isAlone: () => isAlone,
    nextRound() {
      plan()
      return new Promise((resolve) => waiting.push(resolve))
    },
  }
}
