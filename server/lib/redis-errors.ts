import type { RedisAddress } from './redis-url.ts'

/** Says which Redis it is that an error speaks of. */
export function redisError(address: RedisAddress | string, error: Error): Error {
  const where = typeof address === 'string' ? address : `${address.host}:${address.port}`
  // A refused connection to several addresses of one name has only a code.
  const said = error.message === '' ? (error as NodeJS.ErrnoException).code : error.message
  return new Error(`Redis at ${where}: ${said}`, { cause: error })
}

/** How long the same complaint is kept back. Milliseconds. */
const repeatMs = 10_000

/** Passes on what is new, so that thousands who meet the same trouble make one line in the log. */
export function seldom(onError: (error: Error) => void): (error: Error) => void {
  const said = new Map<string, number>()
  return (error) => {
    const now = performance.now()
    if (now - (said.get(error.message) ?? -Infinity) < repeatMs) return
    for (const [message, at] of said) if (now - at >= repeatMs) said.delete(message)
    said.set(error.message, now)
    onError(error)
  }
}
