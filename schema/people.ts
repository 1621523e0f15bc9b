import type { Listed } from '../server/domain/blocks.ts'
import { badInput } from '../server/errors.ts'
import type { UserRow } from '../server/domain/users.ts'
import {
  type Connection,
  connectionOf,
  decodePlace,
  decodeSnowflake,
  encodePlace,
  forwardPage,
  pageSize,
} from './connections.ts'
import type { Context } from './context.ts'
import { userType } from './types.ts'
import { requireViewer } from './viewer.ts'

export const userConnection = connectionOf(userType)

/** A page of a list of people that the viewer keeps, the latest first. */
export async function pageOfPeople(
  context: Context,
  args: { first?: number | null | undefined; after?: string | null | undefined },
  list: (viewerId: string, first: number, after: Listed | null) => Promise<Listed[]>,
): Promise<Connection<UserRow>> {
  const size = pageSize(args.first)
  const rows = await list(requireViewer(context), size + 1, readPlace(args.after))
  const page = forwardPage(rows, size, args.after, ({ at, userId }) => encodePlace(at.getTime(), userId))
  const people = await context.loaders.user.loadMany(page.edges.map(({ node }) => node.userId))
  return { ...page, edges: page.edges.map(({ cursor }, nth) => ({ cursor, node: people[nth] as UserRow })) }
}

/** Milliseconds of a moment that can be written with a year of four digits. */
const moment = /^\d{1,13}$/

/** Reads a place of a list that is sorted by a moment and a person; throws BAD_USER_INPUT. */
export function readPlace(after: string | null | undefined): Listed | null {
  const place = decodePlace(after, 2, 'after')
  if (place === null) return null
  if (!moment.test(place[0]!)) throw badInput('This is not a cursor of this list.', 'after')
  return { at: new Date(Number(place[0])), userId: decodeSnowflake(place[1]!, 'after') }
}
