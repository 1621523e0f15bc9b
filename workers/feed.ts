import type { Database } from '../drizzle/connection.ts'
import { writeFeed } from '../server/domain/feed-writing.ts'
import type { JobHandler } from '../server/jobs/jobs.ts'

export type FeedJobOptions = {
  database: Database
  /** Members up to which a channel's messages are written out to each of them. */
  writtenMembers: number
}

/** Writes what was said in a channel into the feeds of those who are in it. */
export const createFeedJob =
  ({ database, writtenMembers }: FeedJobOptions): JobHandler<'feed'> =>
  ({ channelId }, { signal }) =>
    writeFeed(database, { channelId, writtenMembers, signal })
