import { type AnyColumn, type SQL, sql } from 'drizzle-orm'

/**
 * A condition on a column of Snowflakes: it is one of these. Unlike `in`, whose text grows with the list, it is one
 * statement for lists of any length, which every connection prepares once.
 */
export const isOneOf = (column: AnyColumn, ids: readonly string[]): SQL =>
  sql`${column} = any (${`{${ids.join(',')}}`}::bigint[])`

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
