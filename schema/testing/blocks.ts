import {
  BlocksDocument,
  BlockUserDocument,
  EditMessageDocument,
  OpenDirectChannelDocument,
  UnblockUserDocument,
} from '../../client-sdk/index.ts'
import type { Person } from '../../server/testing/test-app.ts'

/** Whether that was new. */
export const block = async (person: Person, other: Pick<Person, 'id'>): Promise<boolean> =>
  (await person.client.request(BlockUserDocument, { userId: other.id })).blockUser
export const unblock = async (person: Person, other: Pick<Person, 'id'>): Promise<boolean> =>
  (await person.client.request(UnblockUserDocument, { userId: other.id })).unblockUser

/** A page of whom somebody has blocked, by id. */
export async function blockedBy(person: Person, first: number | null = null, after: string | null = null) {
  const { blocks } = await person.client.request(BlocksDocument, { first, after })
  return { ids: blocks.edges.map(({ node }) => node.id), ...blocks.pageInfo }
}

/** The DIRECT channel of two people; its id. */
export async function openDirect(person: Person, other: Person): Promise<string> {
  const { openDirectChannel } = await person.client.request(OpenDirectChannelDocument, { userId: other.id })
  return openDirectChannel.channel.id
}

export const edit = (person: Person, messageId: string, content: string) =>
  person.client.request(EditMessageDocument, { input: { messageId, content } })

/** What is refused because of a block. */
export const forbidden = { code: 'FORBIDDEN', field: undefined }
