/** Where each kind of news travels on the bus. */
export const topics = {
  /** A channel's changes. */
  channel: (channelId: string) => `channel:${channelId}`,
  /** An account's changes. */
  account: (userId: string) => `account:${userId}`,
  /** What is worth nothing a moment later: typing, read receipts. */
  signals: (channelId: string) => `signals:${channelId}`,
  presence: (userId: string) => `presence:${userId}`,
  /** Sessions that have ended; every replica listens. */
  sessions: 'sessions',
  /** Jobs that have been added; every worker listens. */
  jobs: 'jobs',
}
