import { styleText } from 'node:util'

const levels = {
  10: styleText('gray', 'TRACE'),
  20: styleText('gray', 'DEBUG'),
  30: styleText('green', ' INFO'),
  40: styleText('yellow', ' WARN'),
  50: styleText('red', 'ERROR'),
  60: styleText('red', 'FATAL'),
}

/** One JSON line of the log as people read it: time, level, message, fields, and the stack of an error below. */
export function prettyLine(json: string): string {
  const { level, time, msg = '', err, ...fields } = JSON.parse(json)
  const clock = styleText('gray', new Date(time).toTimeString().slice(0, 8))
  const rest = Object.entries(fields).map(([name, value]) => styleText('gray', `${name}=`) + JSON.stringify(value))
  const head = [clock, levels[level as keyof typeof levels] ?? level, msg, ...rest].join(' ')
  return err === undefined ? `${head}\n` : `${head}\n${prettyError(err)}\n`
}

function prettyError(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('stack' in error)) return `  ${JSON.stringify(error)}`
  const cause = 'cause' in error ? `\n  caused by\n${prettyError(error.cause)}` : ''
  return `${String(error.stack).replace(/^/gm, '  ')}${cause}`
}
