import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { UsageError } from '../lib/usage-error.ts'
import { type FormatName, formats } from './formats.ts'

export const help = `Imports a chat log.

  npm run import -- FILE [options]

FILE holds one JSON object a line, plain or gzipped:

  {"channel": "tea", "author": "alice", "time": "2026-11-21T09:30:00Z", "text": "안녕, @bob!", "id": 1}
  {"channel": "tea", "author": "bob", "time": "2026-11-21T09:31:00Z", "text": "Hello!", "replyTo": 1}

It goes into the database that the server uses, by the same settings. One that is cut off goes on where it was when
it is started again; nothing is imported twice. All about it: server/import/README.md

  --source NAME   what the log is known by, now and when it has grown (the file's name without its endings)
  --format NAME   ${Object.keys(formats).join(' or ')} (told from the first line)
  --skip-bad      leave out lines with faults instead of importing nothing
  --batch N       messages in one transaction (2000)
  --help
`

/** What was asked for. */
export type Command = {
  file: string
  source: string
  format: FormatName | null
  skipBad: boolean
  batchSize: number
}

/** A transaction costs a write to the disk: with 2,000 messages that no longer shows, and nobody waits long for one. */
const defaultBatch = '2000'

/** Reads the arguments; null where help is wanted. Throws a UsageError. */
export function parseCommand(args: readonly string[]): Command | null {
  const { values, positionals } = parse(args)
  if (values.help) return null
  const [file, ...others] = positionals
  if (file === undefined) throw new UsageError('Which file? npm run import -- FILE')
  if (others.length > 0) throw new UsageError(`One file at a time: ${positionals.join(', ')}`)
  const { format, batch } = values
  if (format !== undefined && !isFormat(format)) {
    throw new UsageError(`--format is one of ${Object.keys(formats).join(', ')}, and not ${format}.`)
  }
  if (!/^[1-9]\d{0,4}$/.test(batch)) throw new UsageError(`--batch is a number from 1 to 99999, and not ${batch}.`)
  const source = values.source ?? basename(file).replace(/(?<=.)(\.(jsonl|ndjson|json|gz))+$/i, '')
  if (source.trim() === '' || source.length > 200) throw new UsageError('--source is a name of 1 to 200 characters.')
  return { file, source, format: format ?? null, skipBad: values['skip-bad'], batchSize: Number(batch) }
}

const isFormat = (name: string): name is FormatName => Object.hasOwn(formats, name)

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        source: { type: 'string' },
        format: { type: 'string' },
        'skip-bad': { type: 'boolean', default: false },
        batch: { type: 'string', default: defaultBatch },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
