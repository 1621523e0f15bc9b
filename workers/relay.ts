/** How often it is looked by itself: what was sent by a replica whose news was lost waits no longer. Milliseconds. */
const lookMs = 1_000

/** Runs `relay` whenever it is woken, and every second, never twice at a time; what comes meanwhile runs it once more. */
export function startRelay(relay: () => Promise<unknown>, onError: (error: unknown) => void) {
  let running: Promise<void> | null = null
  let isAsked = false
  let isStopped = false
  let hasFailed = false

  async function run(): Promise<void> {
    while (isAsked && !isStopped) {
      isAsked = false
      try {
        await relay()
        hasFailed = false
      } catch (error) {
        // The first of a row; the others are the same.
        if (!hasFailed) onError(error)
        hasFailed = true
      }
    }
  }

  function wake(): void {
    isAsked = true
    running ??= run().finally(() => {
      running = null
      // Asked between the last look and here.
      if (isAsked && !isStopped) wake()
    })
  }

  wake()
  const timer = setInterval(wake, lookMs)
  return {
    wake,
    async stop() {
      isStopped = true
      clearInterval(timer)
      await running
    },
  }
}
