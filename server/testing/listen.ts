import { createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import type { TypedDocument } from '../../client-sdk/document.ts'
import type { Person, Replica } from './test-app.ts'

/** A subscription on a socket of its own, without anything that a client library does to mend it. */
export type Listening<Result> = {
  /** What has come, in order. */
  events: Result[]
  /** Errors that came in the place of an event. */
  failures: unknown[]
  /** The ErrorCode that the stream ended with, `complete`, or `cut` where the connection was broken or given up. */
  ended: Promise<string>
  /** Hangs up. */
  stop(): void
  /** Breaks the connection, as a network does. */
  cut(): void
  /** Stops reading from the socket, and goes on. */
  pause(): void
  resume(): void
}

type Answer<Result> = { data?: Result | null; errors?: readonly unknown[] }

/** Subscribes in somebody's name, on a replica. `onEvent` is called with each event as it comes. */
export function listen<Result, Variables>(
  replica: Pick<Replica, 'url'>,
  person: Pick<Person, 'token'>,
  document: TypedDocument<Result, Variables>,
  variables: Variables,
  onEvent: (event: Result) => void = () => {},
): Listening<Result> {
  const sockets: WebSocket[] = []
  class Socket extends WebSocket {
    constructor(address: string, protocols: string | string[]) {
      super(address, protocols)
      sockets.push(this)
    }
  }
  const client = createClient({
    url: replica.url.replace(/^http/, 'ws'),
    webSocketImpl: Socket,
    connectionParams: { authorization: `Bearer ${person.token}` },
    retryAttempts: 0,
  })
  const events: Result[] = []
  const failures: unknown[] = []
  const { promise: ended, resolve } = Promise.withResolvers<string>()
  let isStopped = false
  client.subscribe<Result>(
    { query: document.text, operationName: document.name, variables: variables as Record<string, unknown> },
    {
      next(answer: Answer<Result>) {
        if (isStopped) return
        if (answer.data == null) failures.push(...(answer.errors ?? [answer]))
        else {
          events.push(answer.data)
          onEvent(answer.data)
        }
      },
      error(error) {
        const [first] = Array.isArray(error) ? (error as { extensions?: { code?: string } }[]) : []
        resolve(first?.extensions?.code ?? 'cut')
        void client.dispose()
      },
      complete() {
        resolve(isStopped ? 'cut' : 'complete')
        void client.dispose()
      },
    },
  )
  const cut = () => {
    isStopped = true
    for (const socket of sockets) socket.terminate()
    resolve('cut')
  }
  return {
    events,
    failures,
    ended,
    cut,
    stop() {
      isStopped = true
      resolve('cut')
      // It rejects when there was no connection to close.
      Promise.resolve(client.dispose()).catch(() => {})
    },
    pause: () => sockets.forEach((socket) => socket.pause()),
    resume: () => sockets.forEach((socket) => socket.resume()),
  }
}

/** How many subscriptions to a field are open on a replica: for tests that must not begin before one is. */
export async function subscriptions(replica: Replica, field: string): Promise<number> {
  const { values } = await replica.metrics.subscriptionsActive.get()
  return values.find((value) => value.labels.field === field)?.value ?? 0
}
