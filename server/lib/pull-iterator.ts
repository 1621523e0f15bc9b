/**
 * An async iterator over what `pull` gives, one at a time. Unlike an async generator it can be ended while a pull is
 * under way: `return()` settles at once, and so does the pull that waits.
 *
 * `pull` resolves with undefined to end the iteration, and may reject to end it with an error. `stop` is called once,
 * however it ends.
 */
export function pullIterator<T>(pull: () => Promise<T | undefined>, stop: () => void): AsyncIterableIterator<T> {
  let stopped = false
  /** Ends the pull that is under way, if one is. */
  let release: ((result: IteratorResult<T>) => void) | null = null
  function end(): IteratorReturnResult<undefined> {
    const ended = { done: true, value: undefined } as const
    if (!stopped) {
      stopped = true
      release?.(ended)
      stop()
    }
    return ended
  }
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next() {
      if (stopped) return Promise.resolve(end())
      return new Promise((resolve, reject) => {
        release = resolve
        pull().then(
          (value) => resolve(stopped || value === undefined ? end() : { done: false, value }),
          (error: unknown) => {
            reject(error)
            end()
          },
        )
      })
    },
    async return() {
      return end()
    },
    async throw(error) {
      end()
      throw error
    },
  }
}

export type Bell = ReturnType<typeof createBell>

/** A bell that one waits for and others ring. Rung while nobody waits, it lets the next one pass at once. */
export function createBell() {
  let rung = false
  let wake: (() => void) | null = null
  return {
    ring() {
      rung = true
      wake?.()
    },
    /** Resolves when the bell has been rung since the last time. */
    async wait(): Promise<void> {
      if (!rung) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      wake = null
      rung = false
    },
  }
}
