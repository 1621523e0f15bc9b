import { randomUUID } from 'node:crypto'
import { type DestinationStream, type Logger, destination, pino } from 'pino'
import type { Config } from '../config.ts'
import { prettyLine } from './pretty.ts'
import { scrubRecord, scrubText } from './scrub.ts'

export type Log = Logger

/**
 * The log of the process, to standard output unless `output` is given. Whatever is logged is scrubbed first, so
 * contents and tokens stay out by the names of their fields; the text of a message is up to whoever writes it.
 */
export function createLog({ level, format }: Config['log'], output: DestinationStream = destination(1)): Log {
  const pretty = format === 'pretty' || (format === 'auto' && process.stdout.isTTY)
  const log = pino(
    {
      level,
      base: null,
      // Errors are plain objects by then; pino's own serializer would take them for errors and write them anew.
      serializers: { msg: scrubText, err: (scrubbed: unknown) => scrubbed },
      formatters: { log: scrubRecord },
    },
    pretty ? { write: (line) => output.write(prettyLine(line)) } : output,
  )
  // pino's formatters see what is logged, and not what a child logger is bound to.
  const child = log.child
  log.child = function scrubbedChild(this: Log, bindings, options) {
    return child.call(this, scrubRecord(bindings), options) as never
  }
  return log
}

/** A logger whose lines all bear the id of one request. */
export const requestLog = (log: Log, requestId: string): Log => log.child({ requestId })

/** The id that a proxy gave the request, where it is fit to be logged, or a new one. */
export const requestIdFrom = (offered: string | null | undefined): string =>
  offered && /^[\w.:-]{8,128}$/.test(offered) ? offered : randomUUID()
