import { setTimeout as sleep } from 'node:timers/promises'

/** How often it is looked by itself: what was sent by a replica whose news was lost waits no longer. Milliseconds. */
const lookMs = 1_000

/**
 * Runs `relay` whenever it is woken, and every second, never twice at a time; what comes meanwhile runs it once more,
 * after a rest of `restMs` milliseconds.
 */
export function startRelay(relay: () => Promise<unknown>, onError: (error: unknown) => void, restMs = 0) {
  let running: Promise<void> | null = null
  let isAsked = false
  let hasFailed = false
  const stopped = new AbortController()

  async function run(): Promise<void> {
    while (isAsked && !stopped.signal.aborted) {
      isAsked = false
      try {
        await relay()
        hasFailed = false
      } catch (error) {
        // The first of a row; the others are the same.
        if (!hasFailed) onError(error)
        hasFailed = true
      }
      if (restMs > 0) await sleep(restMs, undefined, { signal: stopped.signal }).catch(() => {})
    }
  }

  function wake(): void {
    isAsked = true
    running ??= run().finally(() => {
      running = null
      // Asked between the last look and here.
      if (isAsked && !stopped.signal.aborted) wake()
    })
  }

  wake()
  const timer = setInterval(wake, lookMs)
  return {
    wake,
    async stop() {
      stopped.abort()
      clearInterval(timer)
      await running
    },
  }
}
