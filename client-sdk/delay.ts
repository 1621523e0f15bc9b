export type RetryOptions = {
  /** The longest first wait; it doubles with each failure in a row. Default 500 ms. */
  minDelayMs?: number
  /** No wait is longer. Default 30 s: after an outage everybody is back within half a minute. */
  maxDelayMs?: number
}

/** How long to wait after so many failures in a row: random in its upper half, so that clients do not come as one. */
export function backoffMs(failures: number, { minDelayMs = 500, maxDelayMs = 30_000 }: RetryOptions = {}): number {
  const longest = Math.min(maxDelayMs, minDelayMs * 2 ** failures)
  return longest / 2 + (Math.random() * longest) / 2
}

/** Waits, or returns early once the signal is aborted; it never throws. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) return Promise.resolve()
  const wake = () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', wake)
    resolve()
  }
  const timer = setTimeout(wake, ms)
  signal.addEventListener('abort', wake)
  return promise
}
