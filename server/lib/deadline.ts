import { unavailable } from '../errors.ts'

/**
 * Waits for `promise` at most `ms` milliseconds and then rejects with UNAVAILABLE. What becomes of the promise after
 * that is ignored, so a late rejection harms nobody. `onTimeout` is for cancelling or closing what did not answer;
 * where that fails too, it is for the same reason, and is ignored as well.
 */
export function withDeadline<Value>(
  promise: PromiseLike<Value>,
  ms: number,
  onTimeout?: () => unknown,
): Promise<Value> {
  return new Promise<Value>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(unavailable(new Error(`No answer within ${ms} ms`)))
      const cancel = async () => onTimeout?.()
      cancel().catch(() => undefined)
    }, ms)
    // The second handler also takes a rejection that comes late; rejecting twice does nothing.
    promise.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
