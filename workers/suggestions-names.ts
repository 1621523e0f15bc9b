import type { Database } from '../drizzle/connection.ts'
import { addNameKeys, dropNameKeys, keysOf, type Named, scoreOf } from '../server/domain/name-keys.ts'
import { leadOf } from '../server/lib/hangul-keys.ts'
import { snowflakeTime } from '../server/message-store/snowflake.ts'

type Runner = Pick<Database, 'run'>

/** People, or channels, in one go: a statement about so many takes some tens of milliseconds. */
const atOnce = 2_000

/** What became of a count: how many were looked at, and of them found by nothing before, or by what should be gone. */
export type Counted = { people: number; channels: number; added: number; dropped: number }

/**
 * Goes through all people and PUBLIC channels: counts anew how well known they are, and lets each be found by what they
 * are called now and by nothing else: those of an older store, whom an older replica has made or renamed beside newer
 * ones, and all when keys are made otherwise. Who was deleted is found no more. It may be cut off anywhere, run twice,
 * and begun again.
 */
export async function countNames(
  database: Runner,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Counted> {
  const counted: Counted = { people: 0, channels: 0, added: 0, dropped: 0 }
  for (const [read, reread] of [[readPeople, rereadPeople], [readChannels, rereadChannels]] as const) {
    for (let after = '0'; ; ) {
      signal?.throwIfAborted()
      const page = await read(database, after)
      if (page.last === null) break
      after = page.last
      counted[read === readPeople ? 'people' : 'channels'] += page.named.length
      const known = await readKeys(database, [...page.gone, ...page.named.map(({ id }) => id)])
      const gone = page.gone.filter((id) => known.has(id))
      const odd = page.named.filter((named) => !isFoundRightly(named, known.get(named.id)))
      await dropNameKeys(database, gone)
      const mended = await mend(database, odd, known, reread)
      await writeScores(database, page.named)
      counted.added += mended.added
      counted.dropped += gone.length + mended.dropped
    }
  }
  return counted
}

/** Keys by whom they lead to. */
type Keys = ReadonlyMap<string, ReadonlySet<string>>

const isFoundRightly = (named: Named, keys: ReadonlySet<string> = new Set()): boolean => {
  const wanted = keysOf(named)
  return wanted.size === keys.size && [...wanted].every((key) => keys.has(key))
}

/**
 * Lets these be found by what they are called now. Names are read once more, as who was renamed since they were read, and
 * before their keys were, has those of the new name, which are right. What is dropped is what was there before that.
 */
async function mend(database: Runner, odd: readonly Named[], known: Keys, reread: typeof rereadPeople) {
  if (odd.length === 0) return { added: 0, dropped: 0 }
  const scores = new Map(odd.map(({ id, score }) => [id, score]))
  const names = await reread(database, odd.map(({ id }) => id))
  const [{ kind }] = odd as [Named]
  const named = names.map((each): Named => ({ kind, score: scores.get(each.id)!, ...each }))
  const wanted = new Map(named.map((each) => [each.id, keysOf(each)]))
  const stale = odd.flatMap(({ id }) =>
    [...(known.get(id) ?? [])].filter((key) => !wanted.get(id)?.has(key)).map((key) => ({ id, key })),
  )
  await addNameKeys(database, named)
  await dropKeys(database, kind, stale)
  return {
    added: named.filter(({ id }) => !isSubset(wanted.get(id)!, known.get(id))).length,
    dropped: new Set(stale.map(({ id }) => id)).size,
  }
}

const isSubset = (some: ReadonlySet<string>, all: ReadonlySet<string> = new Set()) => [...some].every((key) => all.has(key))

/** A page in the order of ids; `last` is null after the end. */
type Page = { named: Named[]; gone: string[]; last: string | null }

type RawPerson = { id: string; username: string; display_name: string; last_active_at: Date | null; is_gone: boolean }

async function readPeople({ run }: Runner, after: string): Promise<Page> {
  const rows = await run<RawPerson>(
    `/* people to count */ select id, username, display_name, last_active_at, deleted_at is not null as is_gone from users
     where id > $1 order by id limit ${atOnce}`,
    [after],
  )
  const here = rows.filter((row) => !row.is_gone)
  const counts = await run<{ user_id: string; count: number }>(
    `/* channels of each */ select user_id, count(*)::int as count from members
     where user_id = any ($1::bigint[]) and left_at is null group by user_id`,
    [here.map((row) => row.id)],
  )
  const byId = new Map(counts.map((row) => [row.user_id, row.count]))
  return {
    named: here.map((row) => ({
      kind: 'USER',
      id: row.id,
      names: [row.username, row.display_name],
      // Who has just come has not been anywhere yet.
      score: scoreOf(byId.get(row.id) ?? 0, row.last_active_at ?? snowflakeTime(row.id)),
    })),
    gone: rows.filter((row) => row.is_gone).map((row) => row.id),
    last: rows.at(-1)?.id ?? null,
  }
}

async function readChannels({ run }: Runner, after: string): Promise<Page> {
  const rows = await run<{ id: string; name: string; member_count: number; newest: string }>(
    `/* channels to count */ select id, name, member_count, greatest(last_id, id) as newest from channels
     where id > $1 and kind = 'PUBLIC' and name is not null order by id limit ${atOnce}`,
    [after],
  )
  return {
    named: rows.map((row) => ({
      kind: 'CHANNEL',
      id: row.id,
      names: [row.name],
      score: scoreOf(row.member_count, snowflakeTime(row.newest)),
    })),
    gone: [],
    last: rows.at(-1)?.id ?? null,
  }
}

/** What these people, as far as they are still here, are called now. */
async function rereadPeople({ run }: Runner, ids: readonly string[]): Promise<Pick<Named, 'id' | 'names'>[]> {
  const rows = await run<{ id: string; username: string; display_name: string }>(
    `/* people once more */ select id, username, display_name from users
     where id = any ($1::bigint[]) and deleted_at is null`,
    [ids],
  )
  return rows.map((row) => ({ id: row.id, names: [row.username, row.display_name] }))
}

/** What these channels are called now. */
async function rereadChannels({ run }: Runner, ids: readonly string[]): Promise<Pick<Named, 'id' | 'names'>[]> {
  const rows = await run<{ id: string; name: string }>(
    `/* channels once more */ select id, name from channels
     where id = any ($1::bigint[]) and kind = 'PUBLIC' and name is not null`,
    [ids],
  )
  return rows.map((row) => ({ id: row.id, names: [row.name] }))
}

/** What these are found by. */
async function readKeys({ run }: Runner, ids: readonly string[]): Promise<Keys> {
  const rows = await run<{ id: string; keys: string[] }>(
    `/* keys of each */ select subject_id as id, array_agg(key) as keys from name_keys
     where subject_id = any ($1::bigint[]) group by subject_id`,
    [ids],
  )
  return new Map(rows.map(({ id, keys }) => [id, new Set(keys)]))
}

async function dropKeys({ run }: Runner, kind: Named['kind'], stale: readonly { id: string; key: string }[]) {
  if (stale.length === 0) return
  await run(
    `/* drop stale keys */ delete from name_keys k using unnest($1::bigint[], $2::text[], $3::text[]) as w (id, lead, key)
     where k.subject_id = any ($1::bigint[]) and k.subject_id = w.id and k.kind = $4 and k.lead = w.lead and k.key = w.key`,
    [stale.map(({ id }) => id), stale.map(({ key }) => leadOf(key)), stale.map(({ key }) => key), kind],
  )
}

/** Writes what has changed, which from one hour to the next is little. */
async function writeScores({ run }: Runner, named: readonly Named[]): Promise<void> {
  await run(
    `/* scores */ update name_keys k set score = w.score
     from unnest($1::bigint[], $2::int[]) as w (id, score)
     where k.subject_id = any ($1::bigint[]) and k.subject_id = w.id and k.score <> w.score`,
    [named.map(({ id }) => id), named.map(({ score }) => score)],
  )
}
