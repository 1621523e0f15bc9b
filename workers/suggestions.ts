import type { Database } from '../drizzle/connection.ts'
import type { TreeName } from '../server/domain/autocomplete-nodes.ts'
import { keysVersion } from '../server/lib/hangul-keys.ts'
import { alone, type Session } from '../server/message-store/maintenance-lock.ts'
import type { Log } from '../server/observability/log.ts'
import { countNames } from './suggestions-names.ts'
import { buildNames, buildTerms, type Built, kindsOf, sampleDays, today } from './suggestions-trees.ts'

/** How often it is looked for what is due, in milliseconds. */
export const suggestionsMs = 60_000

/** The letters "su": trees take minutes to build where there are millions of people, and maintenance may take hours. */
const suggestionsLock = 0x7375

/** How old trees and scores get, in seconds: who is new is found without the tree, and who is known is so tomorrow. */
const namesAge = 600
const termsAge = 3_600
const scoresAge = 3_600

/** Of how much of the time trees are built at most, so that a large store is not all about them. */
const buildShare = 20

/** For how long old nodes stay, in seconds: longer than any process goes on reading them. */
const tidyAge = 60

export type SuggestionsOptions = {
  /** Whose statements may take long. */
  database: Database
  /** Whether something is not to be suggested as a search term. */
  isBlocked: (text: string) => boolean
  log?: Log
  signal?: AbortSignal
  /** Does all that could be due, whether it is or not; for tests and measurements. */
  always?: boolean
}

/** What was due and has been done; null where another process is at it. */
export type SuggestionsDone = { counted: boolean; built: Built[]; tidied: TreeName[] } | null

type Tree = {
  name: TreeName
  keys_version: number
  /** Seconds since; null for never. */
  age: number | null
  scores_age: number | null
  took_ms: number
  untidy: boolean
}

/**
 * Keeps up what suggestions are read from: keys of people of older stores, how well known everybody is, the trees of
 * names and of search terms. Any number of processes may call it as often as they like: one of them does what is due.
 * What is cut off, the next run begins anew; nobody has seen any of it.
 */
export function keepSuggestions(options: SuggestionsOptions): Promise<SuggestionsDone> {
  return alone(options.database, (session) => work(options, session), suggestionsLock)
}

/** All of it on the session that holds the lock: who has lost it, and beside whom another one may be at it, stops. */
async function work({ isBlocked, log, signal, always = false }: Omit<SuggestionsOptions, 'database'>, session: Session) {
  await session.run(
    `insert into suggestion_trees (name) select name from unnest($1::text[]) as w (name) on conflict do nothing`,
    [Object.keys(kindsOf)],
  )
  const trees = new Map((await readTrees(session)).map((tree) => [tree.name, tree]))
  const [names, terms] = [trees.get('NAMES')!, trees.get('TERMS')!]
  const tidied: TreeName[] = []
  for (const tree of trees.values()) {
    if (!tree.untidy || (tree.age !== null && tree.age < tidyAge)) continue
    await tidy(session, tree.name)
    tidied.push(tree.name)
  }

  const isOld = names.keys_version < keysVersion
  const counts = always || isOld || names.scores_age === null || names.scores_age >= scoresAge
  if (counts) {
    const counted = await countNames(session, { signal })
    await session.run(
      `update suggestion_trees set scored_at = now(), keys_version = greatest(keys_version, $1) where name = 'NAMES'`,
      [keysVersion],
    )
    log?.debug(counted, 'names counted')
  }

  const isDue = ({ age, took_ms: tookMs }: Tree, most: number) =>
    always || age === null || age >= Math.max(most, (tookMs / 1_000) * buildShare)
  const built: Built[] = []
  if (isDue(names, namesAge)) built.push(await buildNames(session, { signal }))
  if (isDue(terms, termsAge)) {
    // Nor does anything stay that is dated by a clock that went ahead.
    await session.run(`delete from search_samples where day <= ${today} - ${sampleDays} or day > ${today} + 1`, [])
    built.push(await buildTerms(session, session, isBlocked, { signal }))
  }
  for (const each of built) log?.debug(each, 'suggestions built')
  return { counted: counts, built, tidied }
}

const readTrees = ({ run }: Pick<Database, 'run'>) =>
  run<Tree>(
    `select name, keys_version, extract(epoch from now() - swapped_at)::float8 as age,
       extract(epoch from now() - scored_at)::float8 as scores_age, took_ms, untidy
     from suggestion_trees`,
    [],
  )

/** Removes the nodes of all generations but the one that is read. */
async function tidy({ run }: Pick<Database, 'run'>, tree: TreeName): Promise<void> {
  const [row] = await run<{ generation: string }>('select generation from suggestion_trees where name = $1', [tree])
  await run('/* old nodes */ delete from suggestion_nodes where kind = any ($1::text[]) and generation <> $2', [
    kindsOf[tree],
    row!.generation,
  ])
  await run('update suggestion_trees set untidy = false where name = $1', [tree])
}
