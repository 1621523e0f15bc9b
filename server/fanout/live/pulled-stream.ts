import type { PushStream, Subscriber } from './group.ts'

/** Tells a subscriber what a source gives, one item after the other; the next is asked for when the last has left. */
export class PulledStream implements PushStream<unknown> {
  readonly #source: AsyncIterable<unknown>
  readonly #iterator: AsyncIterator<unknown>
  #isStopped = false
  #goOn: (() => void) | null = null
  #onEnd: (() => void) | null = null

  constructor(source: AsyncIterable<unknown>) {
    this.#source = source
    this.#iterator = source[Symbol.asyncIterator]()
  }

  start(subscriber: Subscriber): void {
    void this.#run(subscriber)
  }

  resume(): void {
    this.#goOn?.()
  }

  stop(): void {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#goOn?.()
    // What it throws on being closed interests nobody.
    this.#iterator.return?.().catch(() => {})
    this.#onEnd?.()
  }

  atEnd(hook: () => void): void {
    this.#onEnd = hook
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    return this.#source[Symbol.asyncIterator]()
  }

  async #run(subscriber: Subscriber): Promise<void> {
    let failure: unknown = null
    try {
      for (;;) {
        const { done, value } = await this.#iterator.next()
        if (this.#isStopped) return
        if (done === true) break
        const answers = await subscriber.group.answer([value])
        if (this.#isStopped) return
        await subscriber.tell(answers)
        if (subscriber.isStalled()) await this.#drained()
        if (this.#isStopped) return
      }
    } catch (error) {
      failure = error
    }
    if (this.#isStopped) return
    this.stop()
    subscriber.end(failure)
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#goOn = () => {
        this.#goOn = null
        resolve()
      }
    })
  }
}
