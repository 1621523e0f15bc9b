import type { Driver } from './driver.ts'

/** One connection, in the hands of one holder at a time. */
export type Connection = Driver & {
  /** Whoever is to be told when it is lost: what is under way on it, and its holder. */
  mourners: Set<(why: unknown) => void>
  isLost: boolean
}

export type Pool = {
  /**
   * Asks for a connection; whoever asks first gets one first. `onReady` is called with it, perhaps at once, and it is
   * the caller's alone until it is given back or discarded; `onFailure` where there is none to be had. Returns what
   * withdraws the request, after which neither is called.
   */
  take(onReady: (connection: Connection) => void, onFailure: (error: unknown) => void): () => void
  /** Gives a connection back. Nothing may be under way on it, or left open. */
  give(connection: Connection): void
  /** Throws a connection away, with whatever is under way on it: it has died, or nobody knows what it is about. */
  discard(connection: Connection, why: unknown): void
  /** Waits a while for the connections that are in somebody's hands, and closes them all. Always resolves. */
  close(): Promise<void>
}

type Waiting = { onReady: (connection: Connection) => void; onFailure: (error: unknown) => void }

/** A connection that has died is replaced after so long, so that a database that is away is not asked all the time. */
const replaceMs = 50

/** How long closing waits for those who hold a connection. */
const closeMs = 5_000

/** How long Postgres may take to answer a goodbye, in seconds. */
const goodbyeSeconds = 1

/**
 * Connections to Postgres, up to a number of them, opened when they are needed. The driver has a pool of its own, which
 * does not survive the death of connections (postgres 3.4): a statement that it is given between the error and the
 * close of one is never answered, or gets the answer of another one; whoever waits for a connection is forgotten; a
 * transaction whose connection dies writes to a socket that is gone, and ends the process. So each connection here has
 * a driver to itself, which serves one holder at a time and is thrown away at the first sign of trouble.
 */
export function createPool(options: {
  size: number
  /** Makes the driver of one connection. `onClose` is to be called when the connection has closed. */
  open: (onClose: (why: unknown) => void) => Driver
}): Pool {
  const all = new Set<Connection>()
  /** The one that was used last is used next: the others may stay asleep. */
  const idle: Connection[] = []
  const waiting: Waiting[] = []
  /** Connections that are on their way. */
  let opening = 0
  /** Connections that have died and are not replaced yet. */
  let missing = 0
  let closing: Promise<void> | undefined
  const { promise: allIdle, resolve: noteAllIdle } = Promise.withResolvers<void>()

  /** Opens as many connections as there are people waiting for one, as far as there is room. */
  function grow() {
    while (waiting.length > opening && all.size + missing < options.size) open()
  }

  function open() {
    const driver = options.open((why) => discard(connection, why))
    const connection: Connection = { ...driver, mourners: new Set(), isLost: false }
    all.add(connection)
    opening++
    const fail = (why: unknown) => {
      opening--
      // Whoever holds an open one will give it back; where nobody does, somebody is to hear of it.
      if (all.size === opening) waiting.shift()?.onFailure(why)
    }
    connection.mourners.add(fail)
    driver.ready.then(
      () => {
        if (!connection.mourners.delete(fail)) return
        opening--
        give(connection)
      },
      (error: unknown) => discard(connection, error),
    )
  }

  function discard(connection: Connection, why: unknown) {
    if (connection.isLost) return
    connection.isLost = true
    all.delete(connection)
    const place = idle.indexOf(connection)
    if (place !== -1) idle.splice(place, 1)
    missing++
    setTimeout(() => {
      missing--
      grow()
    }, replaceMs).unref()
    connection.cut()
    settle()
    for (const tell of connection.mourners) tell(why)
  }

  function give(connection: Connection) {
    if (connection.isLost) return
    const next = waiting.shift()
    if (next !== undefined) return next.onReady(connection)
    idle.push(connection)
    settle()
  }

  function settle() {
    if (closing !== undefined && idle.length === all.size) noteAllIdle()
  }

  async function close() {
    for (const { onFailure } of waiting.splice(0)) onFailure(closed())
    settle()
    const timer = setTimeout(noteAllIdle, closeMs)
    await allIdle
    clearTimeout(timer)
    await Promise.all(idle.map(({ sql }) => sql.end({ timeout: goodbyeSeconds })))
    for (const connection of all) discard(connection, closed())
  }

  return {
    discard,
    give,
    take(onReady, onFailure) {
      const request = { onReady, onFailure }
      const ready = closing === undefined ? idle.pop() : undefined
      if (closing !== undefined) onFailure(closed())
      else if (ready !== undefined) onReady(ready)
      else {
        waiting.push(request)
        grow()
      }
      return () => {
        const place = waiting.indexOf(request)
        if (place !== -1) waiting.splice(place, 1)
      }
    },
    close: () => (closing ??= Promise.resolve().then(close)),
  }
}

/** As the driver says it. */
const closed = () => Object.assign(new Error('The database is closed'), { code: 'CONNECTION_ENDED' })
