/** One message of a log, whatever form the log has. */
export type Entry = {
  /** Where it stands in the file, from 1. */
  line: number
  /** The channel's name, which is also what tells one channel of the log from another. */
  channel: string
  /** What later lines of the channel answer it by; null where nothing can. */
  id: string | null
  /** When it was said, in milliseconds since 1970. */
  at: number
  /** As the log has it: two messages are of the same person where this is the same to the letter. */
  author: string
  /** Fit to be stored; empty where the log has nothing but blanks. */
  text: string
  action: boolean
  /** The id of what it answers, an earlier line of the channel. */
  replyTo: string | null
  /** Authors whom it mentions; null where the text says. */
  mentions: string[] | null
}

/** What is wrong with one line, and whether its message is left out for it or only stands without what it answers. */
export type Fault = { line: number; problem: string; skipped: boolean }

/** What is wrong with a line, while it is being read. */
export class LineError extends Error {}

/** The log or the store is not such that it can be imported. The message is for whoever started it. */
export class ImportError extends Error {
  override readonly name = 'ImportError'
}
