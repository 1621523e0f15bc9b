import { checkSize, defaultPageSize } from '../server/domain/history.ts'
import { badInput } from '../server/errors.ts'
import { isFit } from '../server/lib/text.ts'
import { builder } from './builder.ts'

export type Edge<Node> = { cursor: string; node: Node }

export type Connection<Node> = {
  edges: Edge<Node>[]
  hasNextPage: boolean
  hasPreviousPage: boolean
  /** Where the page ends, if not with its last edge. */
  endCursor?: string
  /** Only where the type has it. */
  totalCount?: number
}

const pageInfo = builder.objectRef<Connection<unknown>>('PageInfo').implement({
  description: 'Where a page stands in its list.',
  fields: (t) => ({
    hasNextPage: t.exposeBoolean('hasNextPage', { description: 'Whether there is more after `endCursor`.' }),
    hasPreviousPage: t.exposeBoolean('hasPreviousPage', { description: 'Whether there is more before `startCursor`.' }),
    startCursor: t.string({ description: 'Goes into `before`; null where the page is empty.', nullable: true, resolve: ({ edges }) => edges[0]?.cursor ?? null }),
    endCursor: t.string({
      description: 'Goes into `after`; null where there is nothing.',
      nullable: true,
      resolve: ({ edges, endCursor }) => endCursor ?? edges.at(-1)?.cursor ?? null,
    }),
  }),
})

/** Declares the connection type of a node, and its `edge` type: `MessageConnection` and `MessageEdge` of `Message`. */
export function connectionOf<Node>(node: ReturnType<typeof builder.objectRef<Node>>, options = { totalCount: false }) {
  const edge = builder.objectRef<Edge<Node>>(`${node.name}Edge`).implement({
    description: 'One of a page.',
    fields: (t) => ({
      cursor: t.exposeString('cursor', { description: 'Its place in the list, for `after` and `before`.' }),
      node: t.field({ description: 'What stands there.', type: node, resolve: (parent) => parent.node as never }),
    }),
  })
  const connection = builder.objectRef<Connection<Node>>(`${node.name}Connection`).implement({
    description: 'A page of a list.',
    fields: (t) => ({
      edges: t.field({ description: 'What is on the page, in order.', type: [edge], resolve: (parent) => parent.edges }),
      pageInfo: t.field({ description: 'Where the page stands in its list.', type: pageInfo, resolve: (parent) => parent }),
      ...(options.totalCount ? { totalCount: t.int({ description: 'How many the whole list has.', resolve: (parent) => parent.totalCount ?? 0 }) } : {}),
    }),
  })
  return Object.assign(connection, { edge })
}

/** How many entries a forward page takes; throws BAD_USER_INPUT where it is too many. */
export const pageSize = (first: number | null | undefined): number => checkSize(first, 'first') ?? defaultPageSize

/** A forward page of rows, of which one more was read than is shown. */
export function forwardPage<Row>(
  rows: readonly Row[],
  size: number,
  after: string | null | undefined,
  cursorOf: (row: Row) => string,
): Connection<Row> {
  return {
    edges: rows.slice(0, size).map((node) => ({ cursor: cursorOf(node), node })),
    hasNextPage: rows.length > size,
    hasPreviousPage: after != null,
  }
}

/** A place in a list as clients hold it: whatever it was made of, as text that is no use for anything else. */
export const encodePlace = (...parts: (string | number)[]): string =>
  Buffer.from(JSON.stringify(parts)).toString('base64url')

/** Reads a place of as many parts; null for none, and BAD_USER_INPUT for what is no place of such a list. */
export function decodePlace(text: string | null | undefined, parts: number, field: string): string[] | null {
  if (text == null) return null
  try {
    const read: unknown = JSON.parse(Buffer.from(text, 'base64url').toString())
    const place = Array.isArray(read) ? read.map(String) : []
    if (place.length === parts && place.every(isFit)) return place
  } catch {
    // Said below.
  }
  throw badInput('This is not a cursor of this list.', field)
}

/** Reads a place that is one whole number. */
export function decodeNumber(text: string | null | undefined, field: string): number | null {
  const place = decodePlace(text, 1, field)
  if (place === null) return null
  const number = /^\d{1,10}$/.test(place[0]!) ? Number(place[0]) : Infinity
  if (number <= 0x7fff_ffff) return number
  throw badInput('This is not a cursor of this list.', field)
}

/** Reads a Snowflake out of a place. */
export function decodeSnowflake(text: string, field: string): string {
  if (/^\d{1,19}$/.test(text) && BigInt(text) < 1n << 63n) return text
  throw badInput('This is not a cursor of this list.', field)
}
