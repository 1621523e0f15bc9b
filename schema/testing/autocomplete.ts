import { operation } from './operations.ts'
import type { Person } from '../../server/testing/test-app.ts'

type Variables = { prefix: string; kinds?: string[]; channelId?: string; first?: number }

type Suggested = {
  kind: 'USER' | 'CHANNEL' | 'TERM'
  text: string
  user: { id: string; username: string } | null
  channel: { id: string; name: string; kind: string } | null
}

const document = operation<{ autocomplete: Suggested[] }, Variables>(
  `query Autocomplete($prefix: String!, $kinds: [SuggestionKind!], $channelId: ID, $first: Int) {
    autocomplete(prefix: $prefix, kinds: $kinds, channelId: $channelId, first: $first) {
      kind text user { id username } channel { id name kind }
    }
  }`,
)

/** What somebody is suggested, whole. */
export const suggestions = async (person: Person, prefix: string, more: Omit<Variables, 'prefix'> = {}) =>
  (await person.client.request(document, { prefix, ...more })).autocomplete

/** The same in short: `@username`, `#channel`, or a term. */
export const suggest = async (person: Person, prefix: string, more: Omit<Variables, 'prefix'> = {}) =>
  (await suggestions(person, prefix, more)).map(({ kind, text, user, channel }) =>
    kind === 'USER' ? `@${user!.username}` : kind === 'CHANNEL' ? `#${channel!.name}` : text,
  )
