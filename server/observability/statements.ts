import type { DatabaseOptions } from '../../drizzle/connection.ts'
import type { Metrics } from './metrics.ts'
import { withSpan } from './tracing.ts'

const names = new Map<string, string>()

/**
 * A short name for a statement: the comment that it begins with, or its verb and its table. Statements are written in
 * the code, so there are only so many.
 */
export function statementName(text: string): string {
  const known = names.get(text)
  if (known !== undefined) return known
  const comment = /^\/\* ([\w ]+) \*\//.exec(text)?.[1]
  const verb = /^\s*(\w+)/.exec(text)?.[1]?.toLowerCase() ?? 'statement'
  const table = /\b(?:from|into|update|table)\s+"?(\w+)/i.exec(text)?.[1]
  const name = comment ?? (table === undefined ? verb : `${verb} ${table}`)
  // Lists of different lengths make different texts of one statement: past this they are no longer remembered.
  if (names.size < 2_000) names.set(text, name)
  return name
}

/** Measures and traces every statement of the store. */
export function measureStatements(metrics: Metrics): NonNullable<DatabaseOptions['around']> {
  return async (text, run) => {
    const statement = statementName(text)
    const done = metrics.statementSeconds.startTimer({ statement })
    try {
      return await withSpan(`store ${statement}`, {}, run)
    } catch (error) {
      metrics.storeErrors.inc({ statement })
      throw error
    } finally {
      done()
    }
  }
}
