import { customType } from 'drizzle-orm/pg-core'

/** A Snowflake, as decimal text: JavaScript's numbers hold 53 bits and these have 63. */
export const snowflake = customType<{ data: string; driverData: string }>({ dataType: () => 'bigint' })

/** A moment in time. The driver reads and writes Date itself, so there is nothing to map. */
export const instant = customType<{ data: Date; driverData: Date }>({ dataType: () => 'timestamp with time zone' })

/** Bytes, as they are. */
export const bytes = customType<{ data: Uint8Array; driverData: Uint8Array }>({ dataType: () => 'bytea' })
