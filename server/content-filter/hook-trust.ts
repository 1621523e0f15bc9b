/** Failures in a row after which it is doubtful whether the service is there. */
const patience = 5

/** People whose failures they have to be: what one of them writes may be all that it cannot read. */
const severalPeople = 3

/** Once a probe has told that a service is not there, nobody waits for it for so long; then the next one tells. */
const restMs = 5_000

/** What says that nothing was reached, so that it was nobody's words that did it. */
const unreached = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN'])

/** Whether a failure came before anything was said. */
function isUnreached(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (unreached.has((cause as NodeJS.ErrnoException).code ?? '')) return true
  }
  return false
}

/** Whether a service is worth waiting for. */
export type HookTrust = {
  /** Whether it is to be asked now. Where that is doubtful it waits for a probe, which is one for all. */
  mayAsk(): Promise<boolean>
  succeeded(): void
  /** It gave no answer to what somebody said; null for nobody who is known. */
  failed(authorId: string | null, error: unknown): void
}

/**
 * Keeps people from waiting for a service that is not there, without letting anybody's words shut it out for the others.
 *
 * It becomes doubtful after several failures in a row, where they are of several people or the service could not be
 * reached at all. Then `probe` asks it something harmless, and rejects where it does not answer: only after that it is
 * left alone for a while, and asked so again before anybody waits for it.
 */
export function createHookTrust(probe: () => Promise<unknown>): HookTrust {
  let failures = 0
  let reached = true
  const people = new Set<string | null>()
  let isDoubtful = false
  let restsUntil = 0
  let probing: Promise<boolean> | null = null

  function succeeded(): void {
    failures = 0
    reached = true
    people.clear()
    isDoubtful = false
  }

  async function isThere(): Promise<boolean> {
    try {
      await probe()
      succeeded()
      return true
    } catch {
      restsUntil = performance.now() + restMs
      return false
    } finally {
      probing = null
    }
  }

  return {
    async mayAsk() {
      if (!isDoubtful) return true
      if (performance.now() < restsUntil) return false
      return (probing ??= isThere())
    },
    succeeded,
    failed(authorId, error) {
      failures++
      if (isUnreached(error)) reached = false
      // More need not be remembered.
      else if (people.size < severalPeople) people.add(authorId)
      if (failures >= patience && (!reached || people.size >= severalPeople)) isDoubtful = true
    },
  }
}
