import { backoffMs, type RetryOptions, sleep } from './delay.ts'
import { errorFromAnswer, MaruClientError } from './errors.ts'
import { EventQueue } from './event-queue.ts'
import type { Operation, Socket } from './socket.ts'

/**
 * Events as they come, for one `for await` loop. It listens from the moment it is made; leaving the loop, return(), or
 * `await using` ends it at once.
 */
export type EventStream<Event> = AsyncIterableIterator<Event, undefined> & AsyncDisposable

export type StreamOptions = {
  /** Ends the stream, without an error. */
  signal?: AbortSignal
  /**
   * How many unread events are kept. With so many the stream stops listening, and goes on when all have been read, as
   * after a lost connection. Default 1,000.
   */
  bufferSize?: number
}

export type EventSource<Result, Variables, Event> = Operation<Result, Variables> & {
  /** Done before each subscribing; may fail as the subscription may. */
  prepare?: (signal: AbortSignal) => Promise<void>
  event: (data: Result) => Event
}

/**
 * Subscribes, and again after everything that passes: errors that may not last, and a pause because the reader was slow
 * (lost connections are the socket's to mend). It is always in one of these states, and only run() goes from one to the
 * other: listening; waiting, after a failure; paused, until all has been read; over.
 */
export function openStream<Result, Variables, Event extends {}>(
  socket: Socket,
  source: EventSource<Result, Variables, Event>,
  { signal, bufferSize = 1_000, retry }: StreamOptions & { retry?: RetryOptions | undefined },
): EventStream<Event> {
  const closing = new AbortController()
  const queue = new EventQueue<Event>(() => closing.abort())
  signal?.addEventListener('abort', () => queue.return(), { signal: closing.signal })
  let failures = 0
  if (signal?.aborted) queue.return()
  else run()
  return queue

  async function run(): Promise<void> {
    while (!closing.signal.aborted) {
      try {
        await source.prepare?.(closing.signal)
        if (closing.signal.aborted) break
        if ((await listen()) === 'complete') break
        await queue.drained()
      } catch (error) {
        if (!(error instanceof MaruClientError && error.retryable)) return fail(error)
        await sleep(error.retryAfterMs ?? backoffMs(failures++, retry), closing.signal)
      }
    }
    queue.end()
    closing.abort()
  }

  function fail(error: unknown): void {
    queue.fail(error)
    closing.abort()
  }

  function listen(): Promise<'complete' | 'full'> {
    const { promise, resolve, reject } = Promise.withResolvers<'complete' | 'full'>()
    // Frames that came together are handed out together, so some may follow the one after which we stopped listening.
    let listening = true
    const stop = () => {
      listening = false
      closing.signal.removeEventListener('abort', stop)
      cancel()
      // Only where nothing else was said before.
      resolve('complete')
    }
    const cancel = socket.subscribe(source, {
      next({ data, errors }) {
        if (!listening) return
        if (!data) {
          reject(errorFromAnswer(errors ?? []))
          return stop()
        }
        failures = 0
        queue.push(source.event(data))
        if (queue.size < bufferSize) return
        resolve('full')
        stop()
      },
      error(error) {
        reject(error)
        stop()
      },
      complete: () => stop(),
    })
    closing.signal.addEventListener('abort', stop)
    return promise
  }
}
