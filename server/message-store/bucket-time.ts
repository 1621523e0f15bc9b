import { snowflakeAt, snowflakeEpoch, snowflakeTime } from './snowflake.ts'

/*
 * A bucket is a month of UTC, numbered from January 2000. The month of an id follows from its time alone, so that
 * everybody who sees an id knows where its message is.
 */

const epochYear = new Date(snowflakeEpoch).getUTCFullYear()

/** The bucket of a moment, in milliseconds since 1970. */
export function bucketAt(milliseconds: number): number {
  const date = new Date(milliseconds)
  return (date.getUTCFullYear() - epochYear) * 12 + date.getUTCMonth()
}

/** The bucket that a message lies in. */
export const bucketOf = (id: string): number => bucketAt(+snowflakeTime(id))

/** When a bucket begins, in milliseconds since 1970. */
export const startOf = (bucket: number): number => Date.UTC(epochYear, bucket, 1)

/** The ids of a bucket, the upper end excluded. */
export const rangeOf = (bucket: number): { low: string; high: string } => ({
  low: snowflakeBound(startOf(bucket)),
  high: snowflakeBound(startOf(bucket + 1)),
})

/** Unlike the lowest Snowflake of the epoch, which is 1, the bound of the first partition is 0. */
const snowflakeBound = (milliseconds: number) => (milliseconds <= snowflakeEpoch ? '0' : snowflakeAt(milliseconds))

/** The table that holds a bucket. */
export function tableOf(bucket: number): string {
  const month = String((bucket % 12) + 1).padStart(2, '0')
  return `messages_${epochYear + Math.floor(bucket / 12)}_${month}`
}

/** The bucket of an id as SQL knows it, the same as `bucketOf`. */
export const bucketSql = (id: string): string =>
  `((extract(year from ${timeSql(id)}) - ${epochYear}) * 12 + extract(month from ${timeSql(id)}) - 1)::int`

/** A timestamp without a zone, so that the session's does not matter. */
const timeSql = (id: string) => `(timestamp '${epochYear}-01-01' + (${id} >> 22) * interval '1 millisecond')`
