/** Milliseconds since 1970 at which Snowflakes begin: 2000-01-01 UTC, so that imported history fits. */
export const snowflakeEpoch = Date.UTC(2000, 0, 1)

/** Below the milliseconds stand 10 bits of worker and 12 bits of sequence. */
export const timeShift = 22n
const workerShift = 12n
const sequenceMask = 0xfffn

/** Worker numbers go from 0 to this. */
export const maxWorker = 0x3ff

/** The lowest Snowflake of a moment (milliseconds since 1970). Moments before the epoch give 1, the lowest of all. */
export function snowflakeAt(milliseconds: number): string {
  const elapsed = BigInt(Math.floor(milliseconds)) - BigInt(snowflakeEpoch)
  return (elapsed > 0n ? elapsed << timeShift : 1n).toString()
}

/** When a Snowflake was made, to the millisecond. */
export const snowflakeTime = (id: string): Date => new Date(Number(BigInt(id) >> timeShift) + snowflakeEpoch)

/** Compares two Snowflakes by value: negative when `a` is the older. */
export const compareSnowflakes = (a: string, b: string): number =>
  a.length === b.length ? (a < b ? -1 : a > b ? 1 : 0) : a.length - b.length

export type SnowflakeSource = {
  /**
   * The next Snowflake, and with it as many after it as are asked for (4,096 at the most): greater than all that this
   * source has given before, also when the clock jumps back.
   */
  next(count?: number): string
}

/**
 * Makes Snowflakes for one worker. When more than 4,096 are asked for within a millisecond it borrows from the next
 * one rather than wait. Of one millisecond and worker there is only one of each; the store moves what it is proposed
 * where the clock is wrong or the channel's newest is greater, so that ids are unique within a channel, and only nearly
 * so beyond it: whoever names a message names its channel.
 */
export function createSnowflakes(worker: () => number, now: () => number = Date.now): SnowflakeSource {
  let last = 0n
  return {
    next(count = 1) {
      const more = BigInt(count - 1)
      const proposed = (BigInt(now() - snowflakeEpoch) << timeShift) | (BigInt(worker()) << workerShift)
      const isRoom = (last & sequenceMask) + 1n + more <= sequenceMask
      const afterLast = isRoom ? last + 1n : (((last >> timeShift) + 1n) << timeShift) | (BigInt(worker()) << workerShift)
      const first = proposed > last ? proposed : afterLast
      last = first + more
      return first.toString()
    },
  }
}
