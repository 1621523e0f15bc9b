import type { Database } from '../drizzle/connection.ts'
import { encodeEntries, type NodeKind, type TreeName } from '../server/domain/autocomplete-nodes.ts'
import { leadOf, wholeKeys } from '../server/lib/hangul-keys.ts'
import type { Session } from '../server/message-store/maintenance-lock.ts'
import { createTree, type TreeNode } from './suggestions-tree.ts'

type Runner = Pick<Database, 'run'>

/** Keys beyond which a prefix has a node: fewer are read in about a millisecond. */
const dense = 200

/** Entries of a node: twice what anybody is shown, as some of them will not do. */
const best = 40

/** Keys that are read at once, and nodes that are written at once. */
const keysAtOnce = 5_000
const nodesAtOnce = 200

/** Days for which a search counts, and after how many it counts half. Samples are kept for as long. */
export const sampleDays = 30
const halfLifeDays = 7

/** The day by the store's clock, by which samples are dated and aged. */
export const today = `(now() at time zone 'UTC')::date`

/** People who must have searched for a term before others are told of it: fewer may be one household, or one team. */
export const fewestPeople = 5

export type BuildOptions = { signal?: AbortSignal | undefined }

export type Built = { tree: TreeName; generation: number; nodes: number; tookMs: number }

/** Kinds of nodes in each tree. */
export const kindsOf: Record<TreeName, readonly NodeKind[]> = { NAMES: ['USER', 'CHANNEL'], TERMS: ['TERM'] }

/**
 * Writes a new generation of a tree and swaps it in by one statement. Nobody reads it before, and whoever reads the one
 * before goes on: it is removed later. Only one may do it at a time: `database` is the session that holds the lock, so that
 * who has lost it gets no further.
 */
async function build(
  database: Runner,
  tree: TreeName,
  write: (writer: ReturnType<typeof createWriter>) => Promise<void>,
): Promise<Built> {
  const started = performance.now()
  // What a builder that has died leaves behind is of a generation that nobody reads, and is removed by this mark.
  const [row] = await database.run<{ generation: string }>(
    `update suggestion_trees set untidy = true where name = $1
     returning greatest((extract(epoch from clock_timestamp()) * 1000)::bigint, generation + 1) as generation`,
    [tree],
  )
  const generation = Number(row!.generation)
  const writer = createWriter(database, generation)
  await write(writer)
  await writer.flush()
  const tookMs = Math.round(performance.now() - started)
  const swapped = await database.run(
    `update suggestion_trees set generation = $2, swapped_at = now(), took_ms = $3
     where name = $1 and generation < $2 returning name`,
    [tree, generation, tookMs],
  )
  if (swapped.length === 0) throw new Error(`Meanwhile somebody else has built a newer tree of ${tree}`)
  return { tree, generation, nodes: writer.count(), tookMs }
}

function createWriter({ run }: Runner, generation: number) {
  let waiting: (TreeNode & { kind: NodeKind })[] = []
  let written = 0

  async function flush() {
    const nodes = waiting
    waiting = []
    written += nodes.length
    if (nodes.length === 0) return
    await run(
      `/* nodes */ insert into suggestion_nodes (lead, prefix, kind, generation, whole, entries)
       select lead, prefix, kind, generation::bigint, whole = 1, entries
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::text[])
         as w (lead, prefix, kind, generation, whole, entries)`,
      [
        nodes.map(({ prefix }) => leadOf(prefix)),
        nodes.map(({ prefix }) => prefix),
        nodes.map(({ kind }) => kind),
        nodes.map(() => String(generation)),
        nodes.map(({ whole }) => Number(whole)),
        nodes.map(({ whole, entries }) =>
          encodeEntries(entries.map(({ id, score, key }) => (whole ? { id, score, key } : { id, score }))),
        ),
      ],
    )
  }

  return {
    flush,
    count: () => written,
    /** A tree whose nodes are written here. */
    tree: (kind: NodeKind, whole: boolean) =>
      createTree({ dense, best, whole, onNode: (node) => void waiting.push({ ...node, kind }) }),
    /** To be awaited from time to time. */
    async room() {
      if (waiting.length >= nodesAtOnce) await flush()
    },
  }
}

/** Builds the tree of people and PUBLIC channels from all keys there are. */
export const buildNames = (database: Runner, { signal }: BuildOptions = {}): Promise<Built> =>
  build(database, 'NAMES', async (writer) => {
    const trees = { USER: writer.tree('USER', false), CHANNEL: writer.tree('CHANNEL', false) }
    for await (const { kind, key, id, score } of readKeys(database, signal)) {
      trees[kind].add({ key, id, score })
      await writer.room()
    }
    for (const tree of Object.values(trees)) tree.end()
  })

type RawKey = { key: string; kind: 'USER' | 'CHANNEL'; id: string; score: number }

/** All keys, those of each kind in their order: of each first character by itself, which are together on one machine. */
async function* readKeys({ run }: Runner, signal: AbortSignal | undefined): AsyncGenerator<RawKey> {
  const leadAfter = async (lead: string) => {
    const [row] = await run<{ lead: string | null }>(
      '/* next lead */ select min(lead) as lead from name_keys where lead > $1',
      [lead],
    )
    return row!.lead
  }
  for (let lead = await leadAfter(''); lead !== null; lead = await leadAfter(lead)) {
    for (let after: Pick<RawKey, 'key' | 'kind' | 'id'> = { key: '', kind: 'CHANNEL', id: '0' }; ; ) {
      signal?.throwIfAborted()
      const rows: RawKey[] = await run<RawKey>(
        `/* keys in order */ select key, kind, subject_id as id, score from name_keys
         where lead = $1 and (kind, key, subject_id) > ($2, $3, $4::bigint)
         order by kind, key, subject_id limit ${keysAtOnce}`,
        [lead, after.kind, after.key, after.id],
      )
      yield* rows
      if (rows.length < keysAtOnce) break
      after = rows.at(-1)!
    }
  }
}

/**
 * Builds the tree of search terms from the samples of the last days: those that at least `fewestPeople` people have
 * searched for and that hold no blocked word. Each person counts once, and half as much for each week that has gone by
 * since, by the store's clock. The session must be one connection: what is counted and sorted lies in tables of its own, and goes with it.
 */
export async function buildTerms(
  database: Runner,
  session: Session,
  isBlocked: (text: string) => boolean,
  { signal }: BuildOptions = {},
): Promise<Built> {
  try {
    await dropTables(session)
    await session.run(
      `create temporary table maru_terms (
         nth bigint generated always as identity primary key, term text not null, score int not null
       )`,
      [],
    )
    await session.run(
      `/* terms counted */ insert into maru_terms (term, score)
       select term, round(100 * sum(power(0.5, age / ${halfLifeDays}.0)))::int from (
         select term, user_id, greatest(min(${today} - day), 0) as age from search_samples
         where day > ${today} - ${sampleDays} group by term, user_id
       ) as people group by term having count(*) >= ${fewestPeople}`,
      [],
    )
    await session.run(
      `create temporary table maru_term_keys (
         key text collate "C" not null, term text collate "C" not null, score int not null
       )`,
      [],
    )
    for (let after = '0'; ; ) {
      signal?.throwIfAborted()
      const rows = await session.run<{ nth: string; term: string; score: number }>(
        `/* terms to spell */ select nth, term, score from maru_terms where nth > $1 order by nth limit ${keysAtOnce}`,
        [after],
      )
      await writeTermKeys(session, rows.filter(({ term }) => !isBlocked(term)))
      if (rows.length < keysAtOnce) break
      after = rows.at(-1)!.nth
    }
    await session.run('create unique index on maru_term_keys (key, term)', [])
    return await build(database, 'TERMS', async (writer) => {
      const tree = writer.tree('TERM', true)
      for await (const { key, term, score } of readTermKeys(session, signal)) {
        tree.add({ key, id: term, score })
        await writer.room()
      }
      tree.end()
    })
  } finally {
    // Where the connection is lost they are gone with it.
    await dropTables(session).catch(() => undefined)
  }
}

const dropTables = ({ run }: Session) => run('drop table if exists maru_terms, maru_term_keys', [])

async function writeTermKeys({ run }: Session, terms: readonly { term: string; score: number }[]): Promise<void> {
  const rows = terms.flatMap(({ term, score }) => wholeKeys(term).map((key) => ({ key, term, score })))
  await run(
    `/* term keys */ insert into maru_term_keys (key, term, score)
     select key, term, score from unnest($1::text[], $2::text[], $3::int[]) as w (key, term, score)`,
    [rows.map(({ key }) => key), rows.map(({ term }) => term), rows.map(({ score }) => score)],
  )
}

async function* readTermKeys({ run }: Session, signal: AbortSignal | undefined) {
  for (let after = { key: '', term: '' }; ; ) {
    signal?.throwIfAborted()
    const rows = await run<{ key: string; term: string; score: number }>(
      `/* term keys in order */ select key, term, score from maru_term_keys where (key, term) > ($1, $2)
       order by key, term limit ${keysAtOnce}`,
      [after.key, after.term],
    )
    yield* rows
    if (rows.length < keysAtOnce) return
    after = rows.at(-1)!
  }
}
