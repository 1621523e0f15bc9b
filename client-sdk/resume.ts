import { MaruClientError } from './errors.ts'
import type { EventSource } from './event-stream.ts'
import {
  ChannelCursorDocument,
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
export function inboxSource({
  after = {},
}: { after?: Cursors } = {}): EventSource<InboxSubscription, InboxSubscriptionVariables, InboxEvent> {
  const cursors = new Map(Object.entries(after))
  return {
    document: InboxDocument,
    variables: () => ({ after: [...cursors.values()] }),
    event({ inbox }) {
      cursors.set(inbox.stream, inbox.cursor)
      return inbox
    },
  }
}

async function channelCursor(request: Request, channelId: string, signal: AbortSignal): Promise<string> {
  const { channel } = await request(ChannelCursorDocument, { id: channelId }, { signal })
  if (!channel) throw new MaruClientError('NOT_FOUND', 'No such channel.', { field: 'channelId' })
  return channel.cursor
}
