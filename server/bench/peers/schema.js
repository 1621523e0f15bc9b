/** The message of the comparison for servers that speak GraphQL: what Maru has, with as many fields. */
export const typeDefs = /* GraphQL */ `
  type Channel { id: ID! }
  type User { id: ID! displayName: String! avatarUrl: String }
  type Attachment { id: ID! url: String! }
  type Reaction { emoji: String! count: Int! }
  type Message {
    id: ID!
    seq: Int!
    channel: Channel!
    author: User!
    content: String!
    createdAt: String!
    editedAt: String
    attachments: [Attachment!]!
    reactions: [Reaction!]!
  }
  type Query { hello: String }
  type Mutation { sendMessage(channelId: ID!, content: String!): Message! }
  type Subscription { messages(channelId: ID!): Message! }
`

let seq = 0

/** A message as its store would give it, just sent: nobody has reacted to it yet. */
export function messageOf(channelId, content) {
  seq++
  return {
    id: `message-${String(seq).padStart(12, '0')}`,
    seq,
    channel: { id: channelId },
    author: { id: 'user-000000000001', displayName: 'Alice', avatarUrl: 'https://chat.example.org/avatars/alice.png' },
    content,
    createdAt: new Date().toISOString(),
    editedAt: null,
    attachments: [],
    reactions: [],
  }
}
