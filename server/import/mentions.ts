import type { Transaction } from '../../drizzle/connection.ts'
import { mentionCandidates } from '../lib/mentions.ts'
import { usernameKey } from '../lib/text.ts'
import type { Entry } from './entry.ts'
import type { People } from './people.ts'

/** Whom a message may address by name before it says anything: more are a list, as with `@`. */
const maxAddressed = 50

/** A name and what ends it, at the start of a text; the longest nick of any network has 32 characters. */
const address = /^([^:,\n]{1,80})[:,]\s*/

/** Finds whom the messages of one channel mention. */
export type Mentions = {
  /**
   * The users that a message mentions. Those named by the log, where it names them; else those that the text addresses
   * (`nick: …`, `nick, …`) and those named with `@`. `members` are users by `usernameKey` who are in the channel though
   * they may not be in the log.
   */
  of(entry: Entry, members: ReadonlyMap<string, string>): string[]
  /** The names, by `usernameKey`, that these entries write with `@` and that are no author's. */
  strangers(entries: readonly Entry[]): string[]
}

/**
 * `authors` are the channel's, as the log has them. They are found by that name to the letter, else whatever its case,
 * else by their username here.
 */
export function createMentions(authors: readonly string[], people: People): Mentions {
  const exact = new Map<string, string>()
  const byKey = new Map<string, string>()
  const byUsername = new Map<string, string>()
  for (const author of authors) {
    const userId = people.ids.get(author)!
    const key = usernameKey(author.trim())
    exact.set(author, userId)
    if (!byKey.has(key)) byKey.set(key, userId)
    byUsername.set(people.usernames.get(userId)!, userId)
  }

  function findAuthor(name: string): string | undefined {
    const key = usernameKey(name.trim())
    return exact.get(name) ?? exact.get(name.trim()) ?? byKey.get(key) ?? byUsername.get(key)
  }

  function addressed(text: string): string[] {
    const found: string[] = []
    for (let rest = text; found.length < maxAddressed; ) {
      const match = address.exec(rest)
      const userId = match === null ? undefined : findAuthor(match[1]!)
      if (userId === undefined) break
      found.push(userId)
      rest = rest.slice(match![0].length)
    }
    return found
  }

  return {
    of({ text, mentions }, members) {
      const find = (name: string) => findAuthor(name) ?? members.get(name)
      const found =
        mentions === null
          ? [...addressed(text), ...mentionCandidates(text).map((choices) => choices.map(find).find(Boolean))]
          : mentions.map((name) => exact.get(name))
      return [...new Set(found.filter((userId) => userId !== undefined))].toSorted()
    },

    strangers(entries) {
      const texts = entries.filter((entry) => entry.mentions === null).map((entry) => entry.text)
      const names = texts.flatMap((text) => mentionCandidates(text).flat())
      return [...new Set(names)].filter((name) => findAuthor(name) === undefined)
    },
  }
}

/** Who of these names, by `usernameKey`, is a member of the channel. */
export async function findMembers(
  tx: Transaction,
  channelId: string,
  names: readonly string[],
): Promise<Map<string, string>> {
  if (names.length === 0) return new Map()
  const named = await tx.run<{ key: string; user_id: string }>(
    'select key, user_id from usernames where key = any ($1::text[])',
    [names],
  )
  const here = await tx.run<{ user_id: string }>(
    'select user_id from members where channel_id = $1 and user_id = any ($2::bigint[]) and left_at is null',
    [channelId, named.map((row) => row.user_id)],
  )
  const present = new Set(here.map((row) => row.user_id))
  return new Map(named.filter((row) => present.has(row.user_id)).map((row) => [row.key, row.user_id]))
}
