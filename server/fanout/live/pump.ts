import { type Bell, createBell, pullIterator } from '../../lib/pull-iterator.ts'
import type { Answer, PushStream, Subscriber } from './group.ts'

/** Items that are answered and sent together, at the most: so many share what has to be loaded for them. */
const maxItems = 50

/** Bytes of answers that should leave together: what a socket takes before it is stalled. */
const bytesAtOnce = 256 * 1024

/**
 * Tells a subscriber what a stream has to give, for as long as something is at hand, and sleeps until `wake` is called.
 * While it sleeps it is but an object: no promise and no iterator waits. A class, as every subscription has one.
 */
export abstract class Pump<Item extends object> implements PushStream<Item> {
  isClosed = false
  /** Whether all that was read is told. */
  isToldAll = true
  /** One at first, while nobody knows how long the answers are. */
  #itemsAtOnce = 1
  #subscriber: Subscriber | null = null
  #isRunning = false
  /** Lets go on what waits for the socket. */
  #goOn: (() => void) | null = null
  #isRung = false
  #onEnd: (() => void) | null = null
  /** For who pulls. */
  #bell: Bell | null = null

  /** The next item; null where there is none now. Rejects to end the stream. */
  protected abstract next(): Promise<Item | null>
  /** Whether the next item is at hand. */
  protected abstract isAtHand(): boolean
  /**
   * Which items may be told, now that their answers are made: that takes time, in which the viewer may have been put
   * out, and an answer may have learned of something that happened afterwards. Null for all of them, as nearly always.
   * Rejects to end the stream.
   */
  protected abstract mayStillTell(items: readonly Item[]): null | Promise<boolean[]>
  /** Called before the first `next` where somebody wants to be told live, rather than to read on. */
  protected abstract goLive(subscriber: Subscriber): void
  protected abstract close(): void

  /** There may be something to read. */
  wake(): void {
    this.#isRung = true
    this.#bell?.ring()
    const subscriber = this.#subscriber
    if (subscriber === null || this.#isRunning || this.isClosed || subscriber.isStalled()) return
    this.#run(subscriber).catch((error: unknown) => {
      if (this.isClosed) return
      // A fault of ours. Who comes back goes on; who is left without a word would wait for ever.
      this.stop()
      subscriber.end(error)
    })
  }

  start(subscriber: Subscriber): void {
    this.#subscriber = subscriber
    this.goLive(subscriber)
    this.wake()
  }

  resume(): void {
    this.#goOn?.()
    this.wake()
  }

  stop(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#goOn?.()
    this.close()
    this.#onEnd?.()
  }

  atEnd(hook: () => void): void {
    const before = this.#onEnd
    this.#onEnd = () => {
      before?.()
      hook()
    }
  }

  async #run(subscriber: Subscriber): Promise<void> {
    this.#isRunning = true
    while (!this.isClosed && !subscriber.isStalled()) {
      this.#isRung = false
      const { items, failure } = await this.#gather()
      if (this.isClosed) return
      if (items.length > 0) {
        const answers = await subscriber.group.answer(items)
        if (this.isClosed) return
        const tellable = this.mayStillTell(items)
        const may = tellable === null ? null : await tellable
        await this.#tell(subscriber, may === null ? answers : answers.filter((_, place) => may[place]))
        if (this.isClosed) return
        this.isToldAll = true
        this.#itemsAtOnce = Math.min(itemsThatFit(answers), 4 * this.#itemsAtOnce)
      }
      if (failure !== null) {
        this.stop()
        return subscriber.end(failure.error)
      }
      if (items.length === 0 && !this.#isRung) break
    }
    this.#isRunning = false
  }

  /** Tells answers in pieces that a socket takes at once, each when the one before has left. */
  async #tell(subscriber: Subscriber, answers: readonly Answer[]): Promise<void> {
    let from = 0
    while (from < answers.length) {
      let bytes = 0
      let to = from
      while (to < answers.length && bytes < bytesAtOnce) bytes += answers[to++]!.length
      if (subscriber.isStalled()) await this.#drained()
      if (this.isClosed) return
      await subscriber.tell(answers.slice(from, to))
      from = to
    }
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#goOn = resolve
    })
  }

  /** What is at hand, up to a bound, and what the stream ended with after it. */
  async #gather(): Promise<{ items: Item[]; failure: { error: unknown } | null }> {
    const items: Item[] = []
    try {
      do {
        const item = await this.next()
        if (item === null || this.isClosed) break
        items.push(item)
        this.isToldAll = false
      } while (this.isAtHand() && items.length < this.#itemsAtOnce)
    } catch (error) {
      return { items, failure: { error } }
    }
    return { items, failure: null }
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Item> {
    const bell = (this.#bell ??= createBell())
    return pullIterator(
      async () => {
        for (;;) {
          const item = await this.next()
          if (item !== null) return item
          await bell.wait()
        }
      },
      () => this.stop(),
    )
  }
}

/** How many answers leave together that are like the longest of these. */
function itemsThatFit(answers: readonly Answer[]): number {
  const longest = Math.max(...answers.map((answer) => answer.length))
  return Math.max(1, Math.min(maxItems, Math.floor(bytesAtOnce / longest)))
}
