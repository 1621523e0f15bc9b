import { availableParallelism } from 'node:os'
import { hash, verify } from '@node-rs/argon2'
import { MaruError } from '../errors.ts'

/** OWASP's second choice for argon2id: 19 MiB of memory, two passes, one lane. */
const argon2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** Passwords at work at once. They run in libuv's pool, which files and look-ups of names share: half of it is left. */
const maxAtWork = Math.min(2, availableParallelism())

/** Passwords that may wait. Each takes about 25 ms, so that the last of them waits for about a second. */
const maxWaiting = 64

let atWork = 0
const waiting: (() => void)[] = []

/** Runs one at a time for each core, and turns away what would wait for too long: anybody may ask for this work. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (atWork >= maxAtWork) {
    if (waiting.length >= maxWaiting) {
      throw new MaruError('RATE_LIMITED', 'Too many people sign in just now; try again.', { retryAfterMs: 2_000 })
    }
    await new Promise<void>((resolve) => waiting.push(resolve))
  } else {
    atWork++
  }
  try {
    return await work()
  } finally {
    // Whoever is next takes the place over.
    const next = waiting.shift()
    if (next === undefined) atWork--
    else next()
  }
}

/** Hashes a password with argon2id. Throws RATE_LIMITED when too many are waiting. */
export const hashPassword = (password: string | Uint8Array): Promise<string> => inTurn(() => hash(password, argon2))

/** Whether a password is the one that was hashed. Throws RATE_LIMITED when too many are waiting. */
export const verifyPassword = (hashed: string, password: string): Promise<boolean> =>
  inTurn(() => verify(hashed, password))
