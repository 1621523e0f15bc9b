import type { Database } from '../../drizzle/connection.ts'
import type { ContentFilter } from '../content-filter/content-filter.ts'
import type { Files } from '../files/files.ts'
import type { JobAdder } from '../jobs/jobs.ts'
import type { MessageStore } from '../message-store/message-store.ts'
import type { SnowflakeSource } from '../message-store/snowflake.ts'
import type { Pauses } from '../rate-limits/pauses.ts'
import type { Announcer } from './announcer.ts'

/** What every service is made with. */
export type Deps = {
  database: Database
  snowflakes: SnowflakeSource
  store: MessageStore
  announce: Announcer
  jobs: JobAdder
  files: Files
  pauses: Pauses
  limits: Limits
  /** What may be said, before it is stored; null where everything may. */
  filter: ContentFilter | null
  /** What suggestions go by; nothing is sampled where it is not given. */
  finding?: Finding
}

export type Limits = {
  /** Members of a GROUP. */
  groupMembers: number
  /** Of one attachment. */
  uploadBytes: number
  /** Types that may be attached; `*` stands for anything. */
  uploadTypes: readonly string[]
}

export type Finding = {
  /** Share of searches that are counted, from 0 to 1. */
  sampleShare: number
  /** Whether something is not to be suggested to anybody as a search term. */
  isBlockedTerm: (text: string) => boolean
}
