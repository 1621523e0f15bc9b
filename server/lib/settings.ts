import type { z } from 'zod'

/** The environment as Node gives it; a variable that is empty or blank counts as not set. */
export type Environment = Readonly<Record<string, string | undefined>>

/** One environment variable: all that the check, its error message and the table in the README say of it. */
export type Setting<Value> = {
  /** One sentence or two for an operator. */
  meaning: string
  /** How the text becomes the value. */
  schema: z.ZodType<Value, string>
  /** The text that is read where none is given; null where there is none to read. */
  initial: string | null
  /** What the table says holds where none is given. */
  shownInitial: string
  /** What to type instead of a faulty one. */
  example: string
  /** Whether the value may hold a secret, and so never stands in a message. */
  secret: boolean
}

export type Settings = Readonly<Record<string, Setting<unknown>>>

/** The values of a table of settings. */
export type ValuesOf<Table extends Settings> = {
  -readonly [Name in keyof Table]: Table[Name] extends Setting<infer Value> ? Value : never
}

type Details = { example: string; secret?: boolean }

/** A setting that always has a value: `initial`, where the environment gives none. */
export const withDefault = <Value>(
  initial: string,
  meaning: string,
  schema: z.ZodType<Value, string>,
  details: Partial<Details> = {},
): Setting<Value> => ({
  meaning,
  schema,
  initial,
  shownInitial: `\`${initial}\``,
  example: details.example ?? initial,
  secret: details.secret ?? false,
})

/** A setting that is null where the environment gives none; `otherwise` says what happens then. */
export const optional = <Value>(
  otherwise: string,
  meaning: string,
  schema: z.ZodType<Value, string>,
  details: Details,
): Setting<Value | null> => ({
  meaning,
  schema,
  initial: null,
  shownInitial: otherwise,
  example: details.example,
  secret: details.secret ?? false,
})

/** Where any of `given` is set, all of `needed` must be. */
export type Need<Name extends string> = { given: readonly Name[]; needed: readonly Name[]; because: string }

/** What is wrong with one setting, and what to do about it. */
export type Fault = { name: string; problem: string; remedy: string }

/** Reads each setting of the table from `env`. `values` is whole only where `faults` is empty. */
export function readSettings<Table extends Settings>(
  table: Table,
  needs: readonly Need<Extract<keyof Table, string>>[],
  env: Environment,
): { values: ValuesOf<Table>; faults: Fault[] } {
  const values: Record<string, unknown> = {}
  const faults: Fault[] = []

  for (const [name, setting] of Object.entries(table)) {
    const text = given(env, name) ?? setting.initial
    const read = text === null ? null : setting.schema.safeParse(text)
    if (read === null || read.success) values[name] = read === null ? null : read.data
    else faults.push(refusal(name, setting, text ?? '', read.error.issues[0]?.message ?? 'must be something else'))
  }

  for (const need of needs) {
    const present = need.given.filter((name) => given(env, name) !== null)
    const missing = need.needed.filter((name) => given(env, name) === null)
    if (present.length > 0) for (const name of missing) faults.push(absence(name, table[name]!, present, need.because))
  }

  return { values: values as ValuesOf<Table>, faults }
}

function given(env: Environment, name: string): string | null {
  return env[name]?.trim() || null
}

function refusal(name: string, setting: Setting<unknown>, text: string, demand: string): Fault {
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text
  return {
    name,
    problem: setting.secret ? `${name} ${demand}.` : `${name} ${demand}; it is "${shown}".`,
    remedy: `Set it as in ${name}=${setting.example}, or leave it out (${setting.shownInitial}).`,
  }
}

function absence(name: string, setting: Setting<unknown>, present: readonly string[], because: string): Fault {
  return {
    name,
    problem: `${name} is missing where ${present.join(', ')} ${present.length === 1 ? 'is' : 'are'} set: ${because}.`,
    remedy: `Set it as in ${name}=${setting.example}, or leave out ${present.join(', ')}.`,
  }
}

/** All faults as one message for a terminal. */
export function describeFaults(faults: readonly Fault[]): string {
  const count = faults.length === 1 ? '1 setting is' : `${faults.length} settings are`
  const list = faults.map(({ problem, remedy }) => `  ${problem}\n    → ${remedy}`)
  return [`Maru cannot start: ${count} at fault.`, ...list].join('\n\n')
}

/** The table of settings in Markdown, for the README. */
export function describeSettings(table: Settings): string {
  const cell = (text: string) => text.replaceAll('|', '\\|')
  const rows = Object.entries(table).map(
    ([name, setting]) => `| \`${name}\` | ${cell(setting.shownInitial)} | ${cell(setting.meaning)} |`,
  )
  return ['| variable | default | meaning |', '| --- | --- | --- |', ...rows].join('\n')
}

/**
 * Variables that look like a slip of the finger: two edits at most from a setting that is not set. Names shorter than
 * eight letters are left out, because with them `HOME` would be taken for `HOST`.
 */
export function misspeltSettings(table: Settings, env: Environment): { found: string; meant: string }[] {
  const unset = Object.keys(table).filter((name) => name.length >= 8 && given(env, name) === null)
  const unknown = Object.keys(env).filter((name) => !(name in table))
  return unknown.flatMap((found) => {
    const meant = unset.find((name) => editDistance(found, name) <= 2)
    return meant === undefined ? [] : [{ found, meant }]
  })
}

/** Letters to insert, drop or replace to make one word of the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let i = 1; i <= from.length; i++) {
    const above = row
    row = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = above[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, above[j]! + 1, row[j - 1]! + 1))
    }
  }
  return row[to.length]!
}
