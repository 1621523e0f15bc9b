import { MaruClientError } from './errors.ts'
import type { EventSource } from './event-stream.ts'
import {
  ChannelCursorDocument,
  ChannelCursorsDocument,
  type ChannelCursorsQuery,
  InboxDocument,
  type InboxSubscription,
  type InboxSubscriptionVariables,
  MessagesDocument,
  type MessagesSubscription,
  type MessagesSubscriptionVariables,
} from './generated/operations.ts'
import type { Request } from './http.ts'

export type MessageEvent = MessagesSubscription['messages']
export type InboxEvent = InboxSubscription['inbox']

/** The newest cursor of each stream, by the stream's id: `cursors[event.stream] = event.cursor`. Goes into JSON. */
export type Cursors = { readonly [stream: string]: string }

/** The most that the server gives at once. */
const pageSize = 100

/** One channel's messages, from `after` on or else from now, always going on from the last event that came. */
export function messageSource(
  request: Request,
  { channelId, after }: { channelId: string; after?: string | null },
): EventSource<MessagesSubscription, MessagesSubscriptionVariables, MessageEvent> {
  let cursor = after ?? undefined
  return {
    document: MessagesDocument,
    // Without a cursor each reconnect would mean "from now on" anew, and lose what came before the first event.
    async prepare(signal) {
      cursor ??= await channelCursor(request, channelId, signal)
    },
    variables: () => ({ channelId, after: cursor }),
    event({ messages }) {
      cursor = messages.cursor
      return messages
    },
  }
}

/** All of the viewer's streams, each from its cursor in `after` on or else from now. */
export function inboxSource(
  request: Request,
  { after = {} }: { after?: Cursors } = {},
): EventSource<InboxSubscription, InboxSubscriptionVariables, InboxEvent> {
  const cursors = new Map(Object.entries(after))
  let prepared = false
  return {
    document: InboxDocument,
    // A stream that is not named starts from now, anew with each reconnect: so the quiet ones need a cursor too.
    async prepare(signal) {
      if (prepared) return
      for await (const { id, cursor } of channelCursors(request, signal)) {
        if (!cursors.has(id)) cursors.set(id, cursor)
      }
      prepared = true
    },
    variables: () => ({ after: [...cursors.values()] }),
    event({ inbox }) {
      cursors.set(inbox.stream, inbox.cursor)
      // Joining comes on the account's stream. The channel's own is named from here on, even if nothing happens in it.
      if (inbox.__typename === 'MembershipEvent' && inbox.member && !cursors.has(inbox.channel.id)) {
        cursors.set(inbox.channel.id, inbox.channel.cursor)
      }
      return inbox
    },
  }
}

async function channelCursor(request: Request, channelId: string, signal: AbortSignal): Promise<string> {
  const { channel } = await request(ChannelCursorDocument, { id: channelId }, { signal })
  if (!channel) throw new MaruClientError('NOT_FOUND', 'No such channel.', { field: 'channelId' })
  return channel.cursor
}

async function* channelCursors(request: Request, signal: AbortSignal): AsyncGenerator<{ id: string; cursor: string }> {
  let after: string | null = null
  do {
    const page: ChannelCursorsQuery = await request(ChannelCursorsDocument, { first: pageSize, after }, { signal })
    const { edges, pageInfo } = page.channels
    yield* edges.map(({ node }) => node)
    after = pageInfo.hasNextPage ? pageInfo.endCursor : null
  } while (after !== null)
}
