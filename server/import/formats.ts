import { z } from 'zod'
import { checkName, cleanText, countCodePoints, isBlank, maxContentLength } from '../lib/text.ts'
import { snowflakeEpoch } from '../message-store/snowflake.ts'
import { type Entry, LineError } from './entry.ts'

/** A form that logs come in. */
export type Format = {
  /** Reads what a line says; throws a LineError with what is wrong with it. */
  parse(value: unknown): Omit<Entry, 'line'>
}

export type FormatName = keyof typeof formats

/** Names and ids are looked up in indexes, which take no books. */
const maxName = 200

/** Clocks differ; what is dated later than this after now is a mistake. */
const maxAheadMs = 60_000

const must = (be: string) => ({
  error: ({ input }: { input?: unknown }) => (input === undefined ? 'is missing' : `must be ${be}`),
})
const idShape = must(`a text of 1 to ${maxName} characters or a whole number`)

const name = z.string(must('a text'))
const author = name
  .transform(cleanText)
  .refine((text) => !isBlank(text), { error: 'must not be blank' })
  .refine((text) => text.length <= maxName, { error: `may be at most ${maxName} characters long` })
const content = z
  .string(must('a text'))
  .transform((text) => (isBlank(text) ? '' : cleanText(text)))
  .refine((text) => text.length <= maxContentLength || countCodePoints(text) <= maxContentLength, {
    error: `may be at most ${maxContentLength.toLocaleString('en')} characters long`,
  })
const time = z
  .union(
    [z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)), z.int()],
    must('a time with its zone, such as 2026-11-21T09:30:00.000Z, or milliseconds since 1970'),
  )
  .refine((at) => at >= snowflakeEpoch, { error: 'must not be before the year 2000; a number is milliseconds' })
  .refine((at) => at <= Date.now() + maxAheadMs, { error: 'must not lie in the future' })
const id = z
  .union([z.string(), z.int().transform(String)], idShape)
  .refine((text) => text !== '' && text.length <= maxName, idShape)
const flag = z.boolean(must('true or false'))

/** The documented form: see README.md. */
const maru = z.object({
  channel: name,
  author,
  time,
  text: content,
  id: id.nullish(),
  replyTo: id.nullish(),
  action: flag.nullish(),
  mentions: z.array(author, must('a list of authors')).nullish(),
})

/**
 * The corpus irc-disentanglement as one JSON object a line. Each day of a channel is a conversation of its own, within
 * which `line` is unique.
 */
const irc = z.object({
  channel: name,
  day: name,
  at: time,
  nick: author,
  text: content,
  me: flag.optional(),
  line: z.int(must('a whole number')),
  replyTo: z.int(must('a whole number or null')).nullish(),
})

const idText = (id: number | null | undefined): string | null => (id == null ? null : String(id))

export const formats = {
  maru: {
    parse(value) {
      const message = check(maru, value)
      return {
        channel: checkChannel(message.channel),
        id: message.id ?? null,
        at: message.time,
        author: message.author,
        text: message.text,
        action: message.action ?? false,
        replyTo: message.replyTo ?? null,
        mentions: message.mentions ?? null,
      }
    },
  },
  irc: {
    parse(value) {
      const message = check(irc, value)
      return {
        channel: checkChannel(`${message.channel} ${message.day}`),
        id: idText(message.line),
        at: message.at,
        author: message.nick,
        text: message.text,
        action: message.me ?? false,
        replyTo: idText(message.replyTo),
        mentions: null,
      }
    },
  },
} satisfies Record<string, Format>

/** The form of a log, by what its first line holds: the documented one unless it is plainly another. */
export function detectFormat(first: unknown): FormatName {
  const has = (field: string) => typeof first === 'object' && first !== null && field in first
  return has('nick') && has('day') && !has('author') ? 'irc' : 'maru'
}

function check<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  if (issue!.path.length === 0) {
    throw new LineError('must be an object: {"channel": …, "author": …, "time": …, "text": …}')
  }
  throw new LineError(`"${issue!.path.join('.')}" ${issue!.message}`)
}

function checkChannel(channel: string): string {
  try {
    return checkName(cleanText(channel), 'The name of a channel', 'channel')
  } catch (error) {
    throw new LineError((error as Error).message)
  }
}
