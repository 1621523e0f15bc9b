import type { Person } from '../../server/testing/test-app.ts'
import { operation } from './operations.ts'

const fields = `code url channel { id kind name topic memberCount lastSeq lastMessage { id } viewerMembership { role } }
  createdBy { username } createdAt expiresAt revokedAt maxUses usesLeft good uses visits
  joined { edges { node { user { username } joinedAt } } }`
const channel = `channel { id memberCount unreadCount viewerMembership { role } }`

export const createInvite = operation(
  `mutation CreateInvite($input: CreateInviteInput!) { createInvite(input: $input) { ${fields} } }`,
)
export const revokeInvite = operation(`mutation RevokeInvite($code: String!) { revokeInvite(code: $code) { ${fields} } }`)
export const joinByInvite = operation(
  `mutation JoinByInvite($code: String!) { joinByInvite(code: $code) { ${channel} } }`,
)
const invite = operation(`query Invite($code: String!) { invite(code: $code) { ${fields} } }`)
const invites = operation(`query Invites($channelId: ID!, $first: Int, $after: String) {
  invites(channelId: $channelId, first: $first, after: $after) {
    edges { cursor node { ${fields} } } pageInfo { hasNextPage endCursor }
  }
}`)

/** An invite that somebody has made. */
export async function invited(
  by: Person,
  input: { channelId: string; maxUses?: number | null; expiresAt?: string | null },
) {
  return (await by.client.request(createInvite, { input })).createInvite
}

/** Somebody joins by a code. */
export const joinBy = (person: Person, code: string, client = person.client) => client.request(joinByInvite, { code })

/** An invite as a client sees it; null where it is not good. */
export const lookAtInvite = async (code: string, client: Person['client']) => (await client.request(invite, { code })).invite

/** A page of a channel's invites. */
export const invitesOf = async (person: Person, channelId: string, more: object = {}) =>
  (await person.client.request(invites, { channelId, ...more })).invites

/** Whom a page of people names. */
export const usernames = (page: { edges: { node: { user: { username: string } } }[] }) =>
  page.edges.map(({ node }) => node.user.username)
