import { type Entry, type Fault, LineError } from './entry.ts'
import { detectFormat, type FormatName, formats } from './formats.ts'
import { readLines } from './read-lines.ts'

/** A whole log, every line of it checked. */
export type Log = {
  format: FormatName
  /** The messages of each channel in the order of their lines; channels in the order in which they begin. */
  channels: Map<string, Entry[]>
  faults: Fault[]
}

/**
 * Reads a log in the format that is asked for, or else in the one that its first line has. What is wrong with single
 * lines stands in `faults`; throws an ImportError where the file itself cannot be read.
 */
export async function readLog(path: string, wanted: FormatName | null, signal?: AbortSignal): Promise<Log> {
  const channels = new Map<string, { entries: Entry[]; ids: Set<string> }>()
  const faults: Fault[] = []
  let format = wanted
  let line = 0

  function read(text: string) {
    const value = parseJson(text)
    format ??= detectFormat(value)
    const entry: Entry = { line, ...formats[format].parse(value) }
    const channel = channels.get(entry.channel) ?? { entries: [], ids: new Set() }
    if (entry.id !== null && channel.ids.has(entry.id)) {
      throw new LineError(`"id" ${entry.id} is taken by an earlier line of the channel`)
    }
    if (entry.replyTo !== null && !channel.ids.has(entry.replyTo)) {
      const problem = `what it answers, ${entry.replyTo}, is no earlier line of the channel`
      faults.push({ line, problem, skipped: false })
      entry.replyTo = null
    }
    if (entry.id !== null) channel.ids.add(entry.id)
    channel.entries.push(entry)
    channels.set(entry.channel, channel)
  }

  for await (const text of readLines(path)) {
    signal?.throwIfAborted()
    line++
    if (text.trim() === '') continue
    try {
      read(text)
    } catch (error) {
      if (!(error instanceof LineError)) throw error
      faults.push({ line, problem: error.message, skipped: true })
    }
  }
  return {
    format: format ?? 'maru',
    channels: new Map([...channels].map(([name, channel]) => [name, channel.entries])),
    faults,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    // Where in the line is said twice.
    throw new LineError(`is no JSON: ${(error as Error).message.replace(/ \(line 1 column \d+\)$/, '')}`)
  }
}
