import type { Database } from '../../drizzle/connection.ts'

/** Visits within this time are written at once, so that a link that everybody opens is no hot row. Milliseconds. */
const gatherMs = 1_000

/** Links that are gathered before they are written, whatever the time: a few hundred kilobytes. */
const maxGathered = 5_000

/** While the store is away so many links at most wait for it; of the others that much is forgotten. */
const maxKept = 50_000

/** More than this cannot be shown: the API's integers have 32 bits. */
const maxVisits = 0x7fff_ffff

/** Counts how often links are opened. */
export type Visits = ReturnType<typeof createVisits>

/**
 * Gathers visits in the process and writes them about once a second, one statement for all links. A process that is
 * killed takes the last second along, and an answer of the store that was lost may count twice: it is no more than a
 * count of visits.
 */
export function createVisits(database: Pick<Database, 'run'>) {
  let gathered = new Map<string, number>()
  let timer: NodeJS.Timeout | null = null
  let writing: Promise<void> = Promise.resolve()

  const add = (code: string, count: number) => {
    if (gathered.size < maxKept || gathered.has(code)) gathered.set(code, (gathered.get(code) ?? 0) + count)
  }

  async function write(): Promise<void> {
    const some = gathered
    if (some.size === 0) return
    gathered = new Map()
    // In order, so that two replicas that write of the same links do not wait for each other.
    const inOrder = [...some].toSorted(([one], [other]) => (one < other ? -1 : 1))
    await database
      .run(
        `/* visits */ insert into short_link_visits (code, visits)
         select * from unnest($1::text[], $2::integer[]) as visited (code, visits) order by code
         on conflict (code) do update
         set visits = least(short_link_visits.visits::bigint + excluded.visits, ${maxVisits})`,
        [inOrder.map(([code]) => code), inOrder.map(([, count]) => count)],
      )
      .catch(() => {
        for (const [code, count] of some) add(code, count)
        if (!isClosed) wait()
      })
  }

  let isClosed = false
  /** One after the other: what comes meanwhile is gathered. */
  function flush(): Promise<void> {
    clearTimeout(timer ?? undefined)
    timer = null
    return (writing = writing.then(write))
  }

  function wait() {
    timer ??= setTimeout(() => void flush(), gatherMs).unref()
  }

  return {
    /** Notes that the link of a code, which exists, was opened by somebody. */
    note(code: string): void {
      add(code, 1)
      if (gathered.size === maxGathered) void flush()
      else wait()
    },

    /** How often each of these links was opened, as far as it is written: the last second may be missing. */
    async count(codes: readonly string[]): Promise<Map<string, number>> {
      const rows = await database.run<{ code: string; visits: number }>(
        '/* visits of */ select code, visits from short_link_visits where code = any ($1::text[])',
        [codes],
      )
      return new Map(rows.map(({ code, visits }) => [code, visits]))
    },

    /** Writes what is left, for the end of the process. */
    async close(): Promise<void> {
      isClosed = true
      await flush()
    },
  }
}
