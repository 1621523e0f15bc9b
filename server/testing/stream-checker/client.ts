import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'

/** The server has said no, with this ErrorCode. */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly code: string

  constructor(code: string, message: string) {
    super(`${code}: ${message}`)
    this.code = code
  }
}

/** There was no answer, or only that there is none for now: nobody knows what became of it. */
export class Away extends Error {
  override readonly name = 'Away'
}

/** Longer than a store that is away keeps a request waiting. Milliseconds. */
const requestMs = 20_000

type Answer = { data?: any; errors?: { message: string; extensions?: { code?: string } }[] }

/** One operation over HTTP. Throws Away, or Refused. */
export async function ask(url: string, token: string | null, query: string, variables: object = {}): Promise<any> {
  const headers = { 'content-type': 'application/json', ...(token === null ? {} : { authorization: `Bearer ${token}` }) }
  const signal = AbortSignal.timeout(requestMs)
  const body = JSON.stringify({ query, variables })
  const answer = await fetch(url, { method: 'POST', headers, body, signal })
    .then((response) => response.json() as Promise<Answer>)
    .catch((error: unknown) => {
      throw new Away(String(error))
    })
  const [error] = answer.errors ?? []
  if (error === undefined) return answer.data
  const code = error.extensions?.code ?? 'none'
  throw code === 'UNAVAILABLE' ? new Away(error.message) : new Refused(code, error.message)
}

/** Does it until it is done; whatever else is wrong than that nobody answers is thrown. */
export async function insist<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Away)) throw error
      await sleep(100)
    }
  }
}

/** What comes of one subscription. */
export type Sink = {
  next(payload: Answer): void
  /** It has ended by itself; with an ErrorCode, or `complete`. */
  end(code: string): void
}

/** One socket that speaks graphql-transport-ws, and does nothing by itself to mend what breaks. */
export type Wire = {
  /** Resolves when the server has let us in; rejects where that does not come about. */
  ready: Promise<void>
  /** Why it is over: the close code. Whoever breaks it off says so by `gone`. */
  closed: Promise<number>
  isOpen(): boolean
  subscribe(id: string, query: string, variables: object, sink: Sink): void
  /** Ends one subscription, as its id is needed for another. */
  unsubscribe(id: string): void
  /** Stops reading, and goes on. */
  pause(): void
  resume(): void
  /** Says goodbye. */
  close(): void
  /** Breaks off with an RST. Nothing of what comes is heard any more. */
  reset(): void
  /** Nothing of what comes is heard any more, while the connection stays. */
  forsake(): void
}

/** Milliseconds for a server to let somebody in; one that is frozen never does. */
const welcomeMs = 8_000

/**
 * Opens a socket. `tamper` may put other frames in the place of each that comes, to see whether that is noticed; a
 * closing is a frame too, `close` and its code.
 */
export function openWire(options: { url: string; token: string; tamper?: ((frame: string) => string[]) | undefined }): Wire {
  const { url, token, tamper } = options
  const sinks = new Map<string, Sink>()
  let tcp: Socket | null = null
  let isForsaken = false
  const ready = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<number>()
  ready.promise.catch(() => {})

  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws', {
    perMessageDeflate: false,
    skipUTF8Validation: true,
    handshakeTimeout: welcomeMs,
    createConnection: ((to: { port: number; host: string }) => (tcp = connect(to))) as never,
  })
  const send = (message: object) => {
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message))
  }
  const welcome = setTimeout(() => socket.terminate(), welcomeMs)
  const end = (code: number) => {
    clearTimeout(welcome)
    ready.reject(new Away(`closed with ${code}`))
    closed.resolve(code)
  }

  function hear(text: string) {
    if (text.startsWith('close ')) {
      end(Number(text.slice(6)))
      return forsake()
    }
    const { type, id, payload } = JSON.parse(text) as { type: string; id: string; payload: any }
    if (type === 'connection_ack') {
      clearTimeout(welcome)
      return ready.resolve()
    }
    if (type === 'ping') return send({ type: 'pong' })
    const sink = sinks.get(id)
    if (sink === undefined) return
    if (type === 'next') return sink.next(payload)
    sinks.delete(id)
    sink.end(type === 'error' ? ((payload as Answer['errors'])?.[0]?.extensions?.code ?? 'none') : type)
  }

  function forsake() {
    isForsaken = true
    sinks.clear()
    end(0)
  }

  socket.on('open', () => send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }))
  socket.on('message', (data) => {
    if (isForsaken) return
    const text = String(data)
    for (const frame of tamper?.(text) ?? [text]) hear(frame)
  })
  socket.on('error', () => {})
  socket.on('close', (code) => {
    if (isForsaken) return
    const [told] = tamper?.(`close ${code}`) ?? []
    end(told === undefined ? code : Number(told.slice(6)))
  })

  return {
    ready: ready.promise,
    closed: closed.promise,
    isOpen: () => socket.readyState === socket.OPEN && !isForsaken,
    subscribe(id, query, variables, sink) {
      sinks.set(id, sink)
      send({ id, type: 'subscribe', payload: { query, variables } })
    },
    unsubscribe(id) {
      if (sinks.delete(id)) send({ id, type: 'complete' })
    },
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    close() {
      forsake()
      socket.resume()
      socket.close(1000)
    },
    reset() {
      forsake()
      tcp?.resetAndDestroy()
      socket.terminate()
    },
    forsake,
  }
}
