import { setTimeout as sleep } from 'node:timers/promises'
import { MaruClientError } from '../../client-sdk/index.ts'

/** How often something is tried while the server is away or asks to wait, and how long between. Milliseconds. */
const attempts = 30
const retryMs = 1_000

/** Does `work` again while it fails with one of these codes, and waits in between as long as the server asks for. */
export async function patiently<Result>(
  codes: readonly string[],
  work: () => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof MaruClientError) || !codes.includes(error.code) || attempt === attempts) throw error
      await sleep(error.retryAfterMs ?? retryMs, undefined, { signal })
    }
  }
}
