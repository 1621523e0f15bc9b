import type { Transaction } from '../../drizzle/connection.ts'
import { leadOf, storedKeys, wholeKeys } from '../lib/hangul-keys.ts'

type Runner = Pick<Transaction, 'run'>

/** Somebody or something that is found by its names. */
export type Named = { kind: 'USER' | 'CHANNEL'; id: string; names: readonly string[]; score: number }

type NamesOfPerson = { username: string; displayName: string }

const ofPerson = { isPerson: true }

/** Whole keys that a person is found by now. */
export const keysOfPerson = ({ username, displayName }: NamesOfPerson): string[] => [
  ...new Set([...wholeKeys(username, ofPerson), ...wholeKeys(displayName, ofPerson)]),
]

/** Whole keys that a channel is found by now; none where it has no name. */
export const keysOfChannel = ({ name }: { name: string | null }): string[] => (name === null ? [] : wholeKeys(name))

/** Points that each doubling of channels, or of members, is worth. */
const pointsPerDoubling = 16

/** Points for having been there lately, by how many days ago that may be. */
const recency: readonly [days: number, points: number][] = [[1, 60], [7, 45], [30, 30], [90, 15]]

/** Rounded, so that most scores stay the same from one count to the next, and need not be written. */
const roundTo = 4

const dayMs = 86_400_000

/**
 * How well known somebody or something is, from 0 to a few hundred: the logarithm of how many channels a person is in,
 * or members a channel has, and up to four doublings' worth for having been there lately. `activeAt`: when a person was
 * last active, or the channel's last message was sent; null for never.
 */
export function scoreOf(count: number, activeAt: Date | null, now = Date.now()): number {
  const days = activeAt === null ? Infinity : (now - activeAt.getTime()) / dayMs
  const lately = recency.find(([within]) => days <= within)?.[1] ?? 0
  return Math.round((pointsPerDoubling * Math.log2(1 + count) + lately) / roundTo) * roundTo
}

/** A person who has just come, as they are found. */
export const newPerson = (user: { id: string } & NamesOfPerson): Named => ({
  kind: 'USER',
  id: user.id,
  names: [user.username, user.displayName],
  score: scoreOf(0, new Date()),
})

/** A channel of these members, as it is found while something is being said in it. */
export const publicChannel = (channel: { id: string; name: string | null; memberCount: number }): Named => ({
  kind: 'CHANNEL',
  id: channel.id,
  names: channel.name === null ? [] : [channel.name],
  score: scoreOf(channel.memberCount, new Date()),
})

/** What somebody or something is found by, as it is stored. */
export const keysOf = ({ kind, names }: Pick<Named, 'kind' | 'names'>): Set<string> =>
  new Set(names.flatMap((name) => storedKeys(name, { isPerson: kind === 'USER' })))

/**
 * Lets these be found by their names, within the transaction that gives them; what is there already stays as it is. One
 * statement.
 */
export async function addNameKeys(tx: Runner, named: readonly Named[]): Promise<void> {
  const rows = named.flatMap(({ kind, id, names, score }) =>
    Array.from(keysOf({ kind, names }), (key) => ({ key, kind, id, score })),
  )
  if (rows.length === 0) return
  // In order, so that two who write the same never wait for each other.
  rows.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  await tx.run(
    `/* new name keys */ insert into name_keys (lead, key, kind, subject_id, score)
     select lead, key, kind, id, score
     from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::int[]) as w (lead, key, kind, id, score)
     on conflict do nothing`,
    [
      rows.map((row) => leadOf(row.key)),
      rows.map((row) => row.key),
      rows.map((row) => row.kind),
      rows.map((row) => row.id),
      rows.map((row) => row.score),
    ],
  )
}

/** Lets these be found no more, within the transaction that takes their names. Returns the score of each key that went. */
export async function dropNameKeys(tx: Runner, ids: readonly string[]): Promise<number[]> {
  if (ids.length === 0) return []
  const gone = await tx.run<{ score: number }>(
    '/* drop name keys */ delete from name_keys where subject_id = any ($1::bigint[]) returning score',
    [ids],
  )
  return gone.map(({ score }) => score)
}

/** Lets somebody or something be found by its new names alone, as well known as before, within the transaction. */
export async function changeNameKeys(tx: Runner, named: Named): Promise<void> {
  const scores = await dropNameKeys(tx, [named.id])
  await addNameKeys(tx, [{ ...named, score: scores.length === 0 ? named.score : Math.max(...scores) }])
}
