import type { Database } from '../drizzle/connection.ts'
import { addNameKeys, dropNameKeys, type Named, scoreOf } from '../server/domain/name-keys.ts'
import { snowflakeTime } from '../server/message-store/snowflake.ts'

type Runner = Pick<Database, 'run'>

/** People, or channels, in one go: a statement about so many takes some tens of milliseconds. */
const atOnce = 2_000

/** What became of a count: how many were looked at, and of them found by nothing before, or by what should be gone. */
export type Counted = { people: number; channels: number; added: number; dropped: number }

/**
 * Goes through all people and PUBLIC channels: counts anew how well known they are, and lets be found who is not yet:
 * those of an older store, and whom an older replica has made beside newer ones. `all`: also who is, as keys are made
 * otherwise now. Who was deleted is found no more. It may be cut off anywhere, run twice, and begun again.
 */
export async function countNames(
  database: Runner,
  { all = false, signal }: { all?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<Counted> {
  const counted: Counted = { people: 0, channels: 0, added: 0, dropped: 0 }
  for (const read of [readPeople, readChannels]) {
    for (let after = '0'; ; ) {
      signal?.throwIfAborted()
      const page = await read(database, after)
      if (page.last === null) break
      after = page.last
      counted[read === readPeople ? 'people' : 'channels'] += page.named.length
      const known = await findKnown(database, [...page.gone, ...page.named.map(({ id }) => id)])
      const gone = page.gone.filter((id) => known.has(id))
      const strangers = all ? page.named : page.named.filter(({ id }) => !known.has(id))
      await dropNameKeys(database, gone)
      await addNameKeys(database, strangers)
      await writeScores(database, page.named)
      counted.added += strangers.length
      counted.dropped += gone.length
    }
  }
  return counted
}

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

/** Those that are found by something. */
async function findKnown({ run }: Runner, ids: readonly string[]): Promise<Set<string>> {
  const rows = await run<{ id: string }>(
    '/* who has keys */ select distinct subject_id as id from name_keys where subject_id = any ($1::bigint[])',
    [ids],
  )
  return new Set(rows.map((row) => row.id))
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
