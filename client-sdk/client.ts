import type { TypedDocument, VariablesAnd } from './document.ts'
import { type EventStream, openStream, type StreamOptions } from './event-stream.ts'
import { createRequest, type HttpOptions, type RequestOptions } from './http.ts'
import { type Cursors, type InboxEvent, inboxSource, type MessageEvent, messageSource } from './resume.ts'
import { createSocket, type SocketOptions } from './socket.ts'

export type MaruClientOptions = HttpOptions &
  Omit<SocketOptions, 'url'> & {
    /** Where sockets are opened. Default: `url` with ws for http. */
    webSocketUrl?: string
  }

export type MaruClient = {
  /** Runs a query or mutation. Gives its data, or throws a MaruClientError; nothing in between. */
  request<Result, Variables>(
    document: TypedDocument<Result, Variables>,
    ...rest: VariablesAnd<Variables, RequestOptions>
  ): Promise<Result>

  /**
   * Runs any subscription, again after each reconnect. What happens in between is not told: where every event counts,
   * use messages() and inbox(). Throws what cannot pass: FORBIDDEN, BAD_USER_INPUT and the like.
   */
  subscribe<Result extends {}, Variables>(
    document: TypedDocument<Result, Variables>,
    ...rest: VariablesAnd<Variables, StreamOptions>
  ): EventStream<Result>

  /**
   * Every change of one channel's messages, once and in order, over any number of reconnects. Starts after the cursor
   * `after`, or with what comes now. Throws FORBIDDEN when the viewer is no longer a member, and CURSOR_EXPIRED when
   * `after` is older than what the server keeps: read history anew, and go on from its cursor.
   */
  messages(options: { channelId: string; after?: string | null } & StreamOptions): EventStream<MessageEvent>

  /**
   * The same for everything that concerns the viewer, in all channels and from all devices. Keep the newest cursor of
   * each stream, and hand them in as `after` next time. Of a channel that was just joined, read the history: the stream
   * tells what happens from then on.
   */
  inbox(options?: { after?: Cursors } & StreamOptions): EventStream<InboxEvent>

  /** Ends all streams, their loops included, and closes the socket. For good. */
  close(): void
}

/** A client of the Maru server at `url`. It opens nothing before it is used, unless told `lazy: false`. */
export function createMaruClient(options: MaruClientOptions): MaruClient {
  const closing = new AbortController()
  const request = createRequest(options)
  const socket = createSocket({ ...options, url: options.webSocketUrl ?? webSocketUrl(options.url) }, closing.signal)

  const streamOptions = ({ signal, bufferSize }: StreamOptions = {}) => ({
    signal: signal ? AbortSignal.any([signal, closing.signal]) : closing.signal,
    bufferSize,
    retry: options.retry,
  })

  return {
    request<Result, Variables>(
      document: TypedDocument<Result, Variables>,
      ...[variables, options]: VariablesAnd<Variables, RequestOptions>
    ) {
      return request(document, variables as Variables, options)
    },

    subscribe<Result extends {}, Variables>(
      document: TypedDocument<Result, Variables>,
      ...[variables, options]: VariablesAnd<Variables, StreamOptions>
    ) {
      const source = { document, variables: () => variables as Variables, event: (data: Result) => data }
      return openStream(socket, source, streamOptions(options))
    },

    messages: (options) => openStream(socket, messageSource(request, options), streamOptions(options)),

    inbox: (options) => openStream(socket, inboxSource(request, options), streamOptions(options)),

    close: () => closing.abort(),
  }
}

function webSocketUrl(url: string): string {
  return url.replace(/^http/, 'ws')
}
