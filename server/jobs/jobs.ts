import type { Transaction } from '../../drizzle/connection.ts'

/** The kinds of work that nobody waits for, and what each needs to know. */
export type JobData = {
  /** Messages of one channel that were sent together: its members' devices are to be told. */
  push: { channelId: string; firstSeq: number; lastSeq: number }
  /** The same for some of a large channel's members: those after the one id and up to the other. */
  'push-part': { channelId: string; firstSeq: number; lastSeq: number; after: string | null; upTo: string | null }
  /** The same for those who could not be told at once. */
  'push-rest': { channelId: string; firstSeq: number; lastSeq: number; userIds: string[] }
  /** Messages were deleted, or have disappeared as they were to: what was pushed of them goes. */
  'push-withdraw': { channelId: string; messageIds: string[]; areExpired?: boolean }
  /** A user has read a channel up to `seq` on one device: the others need not show it any more. */
  'push-read': { userId: string; channelId: string; seq: number }
  /** A user has read something: the number on the icons of their devices is to follow. */
  'push-badge': { userId: string }
  /** What was held back in a burst goes out to a device as one. */
  'push-summary': { userId: string; deviceId: string }
  'push-reminder': { userId: string; id: string }
  /** A file has come in that thumbnails are made of. */
  media: { userId: string; attachmentId: string }
  /** Files that nothing refers to any more. */
  'files-remove': { keys: string[] } | { userId: string; attachmentIds: string[] }
  'link-preview': { channelId: string; messageId: string }
  'scheduled-message': { userId: string; id: string; sendAt: string }
  /** What somebody has scheduled in a channel waits for its turn in slow mode. */
  'scheduled-turn': { userId: string; channelId: string }
  reminder: { userId: string; id: string; remindAt: string }
  /** Somebody has named a mailbox, and is to say that it is theirs. */
  'email-verification': { userId: string }
  /** Somebody wants to have what is theirs. */
  'data-export': { userId: string; id: string }
  /** An account was deleted: what is left of it goes. */
  'account-deletion': { userId: string; deleteMessages: boolean }
  /** What it has said in a channel goes, too: that which comes after a message, or all. */
  'account-messages': { userId: string; channelId: string; after: string | null }
  /** Somebody is away for long, and there may be something to write to them about. */
  'email-digest': { userId: string }
  /** Something was done that is about others. */
  activity: ActivityJob
}

/** What was done that is about others; `at` is when. */
export type ActivityJob =
  /** Messages were sent together, of which some mention or answer somebody. */
  | { of: 'sent'; channelId: string; firstSeq: number; lastSeq: number }
  /** A message mentions these people now, or no more. */
  | { of: 'edited'; channelId: string; messageId: string; userIds: string[]; at: string }
  /** A message was emptied, which mentioned these people. */
  | { of: 'deleted'; channelId: string; messageId: string; userIds: string[] }
  /** These people, in this order, have reacted to a message, or taken that back. */
  | { of: 'reacted'; channelId: string; messageId: string; by: { userId: string; at: string }[] }
  /** Somebody has brought others in, each with this change of the channel. */
  | { of: 'added'; channelId: string; actorId: string; userIds: string[]; changes: number[]; at: string }

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

/** Twelve attempts take three quarters of an hour, which outlasts the restart of whatever the job needs. */
const quick: JobPolicy = { concurrency: 4, retries: 12, retryDelayMax: 600, expireIn: 120 }

/** Three hundred, five minutes apart, take a day: a provider, or a store of files, may be away over night. */
const patient: JobPolicy = { ...quick, retries: 300, retryDelayMax: 300 }

export const jobPolicies: { [Kind in JobKind]: JobPolicy } = {
  push: { ...patient, concurrency: 16 },
  'push-part': patient,
  'push-rest': { ...patient, concurrency: 8 },
  'push-withdraw': patient,
  'push-read': { ...patient, isSingle: true },
  'push-badge': { ...quick, isSingle: true },
  'push-summary': { ...patient, isSingle: true },
  'push-reminder': patient,
  // One at a time for each of the processes that pictures are read in.
  media: { ...patient, concurrency: 2, expireIn: 600 },
  'files-remove': { ...patient, concurrency: 1 },
  'link-preview': { ...quick, concurrency: 8, retries: 3, expireIn: 60 },
  'scheduled-message': patient,
  'scheduled-turn': { ...patient, isSingle: true },
  reminder: patient,
  // Reads through channels, and writes a file that may be large: hours, at the worst. It counts itself what dies of its
  // data, and not of a store that is away.
  'data-export': { ...patient, concurrency: 1, expireIn: 6 * 3_600 },
  'account-deletion': { ...patient, concurrency: 1, expireIn: 3_600 },
  'account-messages': { ...patient, concurrency: 1, expireIn: 3_600 },
  // What is not written yet is read from its channel; and what one writes covers all that waits.
  'email-verification': quick,
  'email-digest': { ...quick, concurrency: 2, isSingle: true },
  activity: quick,
}

export const jobKinds = Object.keys(jobPolicies) as JobKind[]
