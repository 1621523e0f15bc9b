/**
 * Names of things that a log must never hold: what people wrote, and what would let somebody sign in as them. A name
 * is meant by its last word, so `refreshToken` and `set-cookie` are hidden, and `contentType` and `context` are not.
 */
const PRIVATE = new RegExp(
  '(^|[_-])(authorization|cookie|(access|refresh)?token|jwt|password|passphrase|secret|credential|api[_-]?key' +
    '|content|text|draft|body|document|query|variable|param|parameter)s?$',
)

const isPrivate = (name: string): boolean =>
  PRIVATE.test(name.replace(/([a-z\d])([A-Z])/g, '$1_$2').toLowerCase())

/** Deeper than anything that is logged on purpose, and an end for what refers to itself. */
const DEEPEST = 8

const HIDDEN = '[hidden]'

/** A copy of `value` for the log: private things hidden by their name, errors as plain objects. */
export function scrub(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth === DEEPEST) return '[deeper]'
  if (value instanceof Error) return scrubError(value, depth)
  if (value instanceof Date || value instanceof URL) return value
  if (Array.isArray(value)) return value.map((item) => scrub(item, depth + 1))
  if (value instanceof Map) return scrub(Object.fromEntries(value), depth)
  if (value instanceof Set) return scrub([...value], depth)
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  return scrubRecord(value, depth)
}

/** `scrub` for the fields of one object. */
export function scrubRecord(record: object, depth = 0): Record<string, unknown> {
  const scrubbed: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(record)) {
    scrubbed[name] = isPrivate(name) && value !== null && value !== undefined ? HIDDEN : scrub(value, depth + 1)
  }
  return scrubbed
}

/** drizzle's message of a failed query ends with its parameters, and what people wrote is among them. */
export const scrubText = (text: string): string => text.replace(/\nparams: [^]*$/, `\nparams: ${HIDDEN}`)

/**
 * What an error says about the fault, and none of the other properties that libraries hang on it: Postgres' `detail`
 * quotes the row that it refused.
 */
function scrubError(error: Error, depth: number): Record<string, unknown> {
  const message = scrubText(error.message)
  const code = 'code' in error ? { code: scrub(error.code, depth + 1) } : {}
  const cause = error.cause === undefined ? {} : { cause: scrub(error.cause, depth + 1) }
  return { type: error.name, message, ...code, stack: scrubStack(error, message), ...cause }
}

/** A stack begins with the message, which may hold lines that look like the stack's own: cut by length. */
function scrubStack(error: Error, message: string): string {
  const stack = error.stack ?? ''
  const start = stack.indexOf(error.message)
  if (start === -1) return scrubText(stack)
  return stack.slice(0, start) + message + stack.slice(start + error.message.length)
}
