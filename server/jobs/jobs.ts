import type { Transaction } from '../../drizzle/connection.ts'

/** The kinds of work that nobody waits for, and what each needs to know. */
export type JobData = {
  /** Messages of one channel that were sent together: its members' devices are to be told. */
  push: { channelId: string; firstSeq: number; lastSeq: number }
  /** The same for some of a large channel's members: those after the one id and up to the other. */
  'push-part': { channelId: string; firstSeq: number; lastSeq: number; after: string | null; upTo: string | null }
  /** A message was deleted: what was pushed of it goes. */
  'push-withdraw': { channelId: string; messageId: string }
  /** A user has read a channel up to `seq` on one device: the others need not show it any more. */
  'push-read': { userId: string; channelId: string; seq: number }
  /** What was held back in a burst goes out to a device as one. */
  'push-summary': { userId: string; deviceId: string }
  'push-reminder': { userId: string; id: string }
  /** A file has come in that thumbnails are made of. */
  media: { userId: string; attachmentId: string }
  /** Files that nothing refers to any more. */
  'files-remove': { keys: string[] } | { userId: string; attachmentIds: string[] }
  'link-preview': { channelId: string; messageId: string }
  'scheduled-message': { userId: string; id: string; sendAt: string }
  reminder: { userId: string; id: string; remindAt: string }
  /** Somebody has named a mailbox, and is to say that it is theirs. */
  'email-verification': { userId: string }
  /** Somebody is away for long, and there may be something to write to them about. */
  'email-digest': { userId: string }
}

export type JobKind = keyof JobData

/**
 * A job of one kind. `startAfter`: not before then. `key`, for kinds of which one is enough (`isSingle`): while one with
 * this key waits, no other is added.
 */
export type NewJob = {
  [Kind in JobKind]: { kind: Kind; data: JobData[Kind]; startAfter?: Date; key?: string }
}[JobKind]

/** Adds jobs within the caller's transaction: they exist if what they are about does. */
export type JobAdder = { add(tx: Pick<Transaction, 'run' | 'afterCommit'>, jobs: readonly NewJob[]): Promise<void> }

export type JobContext = {
  /** Aborted when the process is about to end, or the job has run out of time. */
  signal: AbortSignal
  /** How often it was tried before. */
  retries: number
  createdAt: Date
}

/**
 * Does one job. It may be called again with the same data: after it has thrown, and when its worker died. What it
 * throws is kept with the job for the operator to read.
 */
export type JobHandler<Kind extends JobKind> = (data: JobData[Kind], context: JobContext) => Promise<void>

export type JobHandlers = { [Kind in JobKind]: JobHandler<Kind> }

/** How jobs of a kind are run. */
export type JobPolicy = {
  /** Of this kind at once in each process. */
  concurrency: number
  /** How often a job is tried again before it is laid aside. */
  retries: number
  /** The longest pause between two attempts, in seconds; they begin at one and double. */
  retryDelayMax: number
  /** How long one attempt may take, in seconds. */
  expireIn: number
  /** Whether jobs have a key, and one of each key is enough. */
  isSingle?: true
}

const quick: JobPolicy = { concurrency: 4, retries: 12, retryDelayMax: 600, expireIn: 120 }

/** Twelve attempts, up to ten minutes apart, outlast an hour's outage of whatever the job needs. */
export const jobPolicies: { [Kind in JobKind]: JobPolicy } = {
  // Providers may be away for longer; what they are to tell is worth something for a day.
  push: { ...quick, concurrency: 16, retries: 40 },
  'push-part': { ...quick, retries: 40 },
  'push-withdraw': quick,
  'push-read': quick,
  'push-summary': { ...quick, isSingle: true },
  'push-reminder': { ...quick, retries: 40 },
  // One at a time for each of the processes that pictures are read in.
  media: { ...quick, concurrency: 2, retries: 6, expireIn: 600 },
  'files-remove': { ...quick, concurrency: 1 },
  'link-preview': { ...quick, retries: 3, expireIn: 60 },
  'scheduled-message': { ...quick, retries: 40 },
  reminder: { ...quick, retries: 40 },
  'email-verification': quick,
  'email-digest': { ...quick, concurrency: 2, isSingle: true },
}

export const jobKinds = Object.keys(jobPolicies) as JobKind[]
