import { type AnyColumn, type SQL, sql } from 'drizzle-orm'

/**
 * A condition on a column of Snowflakes: it is one of these. Unlike `in`, whose text grows with the list, it is one
 * statement for lists of any length, which every connection prepares once.
 */
export const isOneOf = (column: AnyColumn, ids: readonly string[]): SQL =>
  sql`${column} = any (${`{${ids.join(',')}}`}::bigint[])`

/**
 * Answers many requests by few statements: those that differ in nothing but where they look are answered by one. Lists
 * that hang on the rows of another list nearly always ask for the same page of each.
 */
export async function answerTogether<Request, Row>(
  requests: readonly Request[],
  /** What those that are answered together have in common. */
  kindOf: (request: Request) => string,
  /** Answers requests of one kind, in their order. */
  answer: (alike: readonly Request[]) => Promise<Row[][]>,
): Promise<Row[][]> {
  const places = Map.groupBy(requests.keys(), (place) => kindOf(requests[place]!))
  const pages: Row[][] = requests.map(() => [])
  await Promise.all(
    Array.from(places.values(), async (alike) => {
      const answers = await answer(alike.map((place) => requests[place]!))
      alike.forEach((place, nth) => (pages[place] = answers[nth]!))
    }),
  )
  return pages
}

/** Rows of a statement that answers many requests at once, each under the `nth` of its request, from 1 on. */
export function pagesOf<Raw extends { nth: number }, Row>(
  requests: readonly unknown[],
  rows: readonly Raw[],
  toRow: (raw: Raw) => Row,
): Row[][] {
  const pages = requests.map((): Row[] => [])
  for (const raw of rows) pages[raw.nth - 1]!.push(toRow(raw))
  return pages
}

/** A list as a column holds it that knows no empty ones: nothing takes no room. */
export const nullIfEmpty = <T>(list: readonly T[]): T[] | null => (list.length === 0 ? null : [...list])
