import type { Database } from '../../drizzle/connection.ts'
import type { SendBatcher } from '../message-store/batcher.ts'
import type { PageReader } from '../message-store/replica-reads.ts'
import type { SnowflakeSource } from '../message-store/snowflake.ts'
import type { Announcer } from './announcer.ts'

/** What every service is made with. */
export type Deps = {
  database: Database
  snowflakes: SnowflakeSource
  sends: SendBatcher
  announce: Announcer
  /** Reads pages of history, wherever that is cheapest. */
  readPage: PageReader
  limits: Limits
}

export type Limits = {
  /** Members of a GROUP. */
  groupMembers: number
}
