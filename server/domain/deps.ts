import type { Database } from '../../drizzle/connection.ts'
import type { Files } from '../files/files.ts'
import type { JobAdder } from '../jobs/jobs.ts'
import type { MessageStore } from '../message-store/message-store.ts'
import type { SnowflakeSource } from '../message-store/snowflake.ts'
import type { Announcer } from './announcer.ts'

/** What every service is made with. */
export type Deps = {
  database: Database
  snowflakes: SnowflakeSource
  store: MessageStore
  announce: Announcer
  jobs: JobAdder
  files: Files
  limits: Limits
}

export type Limits = {
  /** Members of a GROUP. */
  groupMembers: number
  /** Of one attachment. */
  uploadBytes: number
  /** Types that may be attached; `*` stands for anything. */
  uploadTypes: readonly string[]
}
