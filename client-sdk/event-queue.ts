/**
 * What has come and has not been read yet: events are pushed in on one side and read by `for await` on the other.
 * Leaving the loop, or return(), closes it at once and calls `onClose`, also while a next() is waiting.
 */
export class EventQueue<Event> implements AsyncIterableIterator<Event, undefined>, AsyncDisposable {
  readonly #onClose: () => void
  readonly #unread: Event[] = []
  readonly #waiting: PromiseWithResolvers<IteratorResult<Event, undefined>>[] = []
  #drained = Promise.withResolvers<void>()
  #ended = false
  #failure: { error: unknown } | undefined

  constructor(onClose: () => void) {
    this.#onClose = onClose
  }

  /** How many events wait to be read. */
  get size(): number {
    return this.#unread.length
  }

  push(event: Event): void {
    if (this.#ended) return
    const reader = this.#waiting.shift()
    if (reader) reader.resolve({ value: event, done: false })
    else this.#unread.push(event)
  }

  /** No more will come: what is there can still be read, then the loop ends. */
  end(): void {
    this.#ended = true
    for (const reader of this.#waiting.splice(0)) reader.resolve({ value: undefined, done: true })
  }

  /** No more will come, and the loop ends by throwing this once it has read what is there. */
  fail(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    const reader = this.#waiting.shift()
    if (reader) reader.reject(error)
    else this.#failure = { error }
    this.end()
  }

  /** Resolves once everything has been read. */
  drained(): Promise<void> {
    if (this.#unread.length === 0) return Promise.resolve()
    this.#drained = Promise.withResolvers()
    return this.#drained.promise
  }

  async next(): Promise<IteratorResult<Event, undefined>> {
    const event = this.#unread.shift()
    if (event !== undefined) {
      if (this.#unread.length === 0) this.#drained.resolve()
      return { value: event, done: false }
    }
    if (this.#failure) {
      const { error } = this.#failure
      this.#failure = undefined
      throw error
    }
    if (this.#ended) return { value: undefined, done: true }
    const reader = Promise.withResolvers<IteratorResult<Event, undefined>>()
    this.#waiting.push(reader)
    return reader.promise
  }

  async return(): Promise<IteratorResult<Event, undefined>> {
    this.#unread.length = 0
    this.#failure = undefined
    this.#drained.resolve()
    this.end()
    this.#onClose()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}
