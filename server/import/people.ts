import type { Database, Transaction } from '../../drizzle/connection.ts'
import { addNameKeys, newPerson } from '../domain/name-keys.ts'
import { checkProfile, toDisplayName, toUsername } from '../domain/users.ts'
import { firstCodePoints, maxUsernameLength, usernameKey } from '../lib/text.ts'
import type { SnowflakeSource } from '../message-store/snowflake.ts'
import { lockImports } from './import-lock.ts'

/** Somebody of a log: the name that it has them under, and when they first spoke. */
export type Author = { name: string; since: Date }

export type People = {
  /** User ids by the names of the log. */
  ids: Map<string, string>
  /** The user's name as `usernameKey` has it, by user id. */
  usernames: Map<string, string>
  /** How many of them are new here. */
  created: number
}

/** People in one statement. Each brings about 200 bytes. */
const atOnce = 5_000

/** How many people of one name get a number, before it becomes a random one. */
const numbered = 20

/** What the users of an imported log are known by: nobody signs in as one of them. */
export const issuerOf = (source: string): string => `import:${source}`

/**
 * The users that a log's authors stand for, all of them made at once where they are new. Each gets the username that is
 * nearest to the name in the log and free: a user who has that name already keeps it and is never taken for the author.
 */
export async function ensurePeople(
  database: Database,
  snowflakes: SnowflakeSource,
  source: string,
  authors: readonly Author[],
): Promise<People> {
  return database.transaction(async (tx) => {
    await lockImports(tx)
    const people: People = { ids: new Map(), usernames: new Map(), created: 0 }
    // Whose name is a username goes before those for whom it would only be the nearest.
    const inOrder = authors.toSorted((a, b) => Number(isUsername(b.name)) - Number(isUsername(a.name)))
    for (let start = 0; start < inOrder.length; start += atOnce) {
      const some = inOrder.slice(start, start + atOnce)
      await findKnown(tx, source, some, people)
      const strangers = some.filter((author) => !people.ids.has(author.name))
      await create(tx, snowflakes, source, strangers, people)
    }
    return people
  })
}

async function findKnown(tx: Transaction, source: string, authors: readonly Author[], people: People) {
  const known = await tx.run<{ subject: string; user_id: string }>(
    'select subject, user_id from identities where issuer = $1 and subject = any ($2::text[])',
    [issuerOf(source), authors.map((author) => author.name)],
  )
  const users = await tx.run<{ id: string; username: string }>(
    'select id, username from users where id = any ($1::bigint[])',
    [known.map((row) => row.user_id)],
  )
  for (const row of known) people.ids.set(row.subject, row.user_id)
  for (const row of users) people.usernames.set(row.id, usernameKey(row.username))
}

async function create(
  tx: Transaction,
  snowflakes: SnowflakeSource,
  source: string,
  authors: readonly Author[],
  people: People,
) {
  let waiting = [...authors]
  while (waiting.length > 0) {
    const taken = await findTaken(tx, waiting.flatMap(({ name }) => numberedNames(name).map(usernameKey)))
    const wishes = waiting.map(({ name, since }) => {
      const username = chooseName(name, taken)
      const key = usernameKey(username)
      taken.add(key)
      return { id: snowflakes.next(), username, key, display_name: toDisplayName(name), name, since }
    })
    const made = await insert(tx, issuerOf(source), wishes)
    for (const wish of wishes) {
      if (!made.has(wish.id)) continue
      people.ids.set(wish.name, wish.id)
      people.usernames.set(wish.id, wish.key)
      people.created++
    }
    // Somebody may have signed up under one of the names since they were looked up: that author tries again.
    waiting = waiting.filter((author) => !people.ids.has(author.name))
  }
}

async function findTaken(tx: Transaction, keys: readonly string[]): Promise<Set<string>> {
  const rows = await tx.run<{ key: string }>('select key from usernames where key = any ($1::text[])', [keys])
  return new Set(rows.map((row) => row.key))
}

const suffixed = (name: string, suffix: string): string =>
  firstCodePoints(toUsername(name), maxUsernameLength - suffix.length) + suffix

const isUsername = (name: string): boolean => toUsername(name) === name

const numberedNames = (name: string): string[] =>
  Array.from({ length: numbered }, (_, place) => suffixed(name, place === 0 ? '' : `-${place + 1}`))

function chooseName(name: string, taken: ReadonlySet<string>): string {
  const free = numberedNames(name).find((username) => !taken.has(usernameKey(username)) && isAllowed(username))
  return free ?? suffixed(name, `-${Math.floor(Math.random() * 1e9)}`)
}

/** Some names mean everybody, and are nobody's. */
function isAllowed(username: string): boolean {
  try {
    checkProfile({ username })
    return true
  } catch {
    return false
  }
}

/** Writes the users whose names are still free; returns their ids. */
async function insert(
  tx: Transaction,
  issuer: string,
  wishes: readonly { id: string; username: string; key: string; display_name: string; name: string; since: Date }[],
): Promise<Set<string>> {
  const named = await tx.run<{ user_id: string }>(
    `/* import names */ insert into usernames (key, user_id)
     select key, id from json_to_recordset($1::text::json) as w (id bigint, key text) order by key
     on conflict do nothing returning user_id`,
    [JSON.stringify(wishes)],
  )
  const made = new Set(named.map((row) => row.user_id))
  const people = JSON.stringify(wishes.filter((wish) => made.has(wish.id)))
  await tx.run(
    `/* import people */ insert into users (id, username, display_name, created_at)
     select id, username, display_name, since
     from json_to_recordset($1::text::json) as w (id bigint, username text, display_name text, since timestamptz)`,
    [people],
  )
  await tx.run(
    `/* import identities */ insert into identities (issuer, subject, user_id)
     select $2::text, name, id from json_to_recordset($1::text::json) as w (id bigint, name text)`,
    [people, issuer],
  )
  const coming = wishes.filter((wish) => made.has(wish.id))
  await addNameKeys(tx, coming.map(({ id, username, display_name: displayName }) => newPerson({ id, username, displayName })))
  return made
}
