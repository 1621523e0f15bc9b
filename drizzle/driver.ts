import { connect, type Socket } from 'node:net'
import postgres from 'postgres'
import { arrayTypes } from './arrays.ts'

/** A driver that holds one connection, and is of no more use once that has died. */
export type Driver = {
  sql: postgres.Sql
  /** Resolves once it is connected; rejects with what the driver or the server said. */
  ready: Promise<void>
  /** Breaks the connection at once, without a word, whatever is under way on it. */
  cut(): void
}

/** What the driver's option `socket` is called with, each time that it connects. */
type Addresses = { host: string[]; port: number[]; path: string | false }

/** In seconds, for each host. */
const connectTimeout = 5

/**
 * Makes drivers for the database at `url`, with these settings of the session; `greeting` is what each runs first. Where the URL names several hosts each
 * driver tries them in turn, from the one that was good last. `onClose` is called when a connection has closed.
 */
export function createDrivers(
  url: string,
  settings: Record<string, string | number>,
  greeting: string,
): (onClose: (why: unknown) => void) => Driver {
  let preferred = 0
  return (onClose) => {
    const first = preferred
    let tried = 0
    let isCut = false
    let socket: Socket | undefined
    let failure: unknown = Object.assign(new Error('The server closed the connection'), { code: 'CONNECTION_CLOSED' })
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()

    /**
     * Called by the driver (postgres 3.4) when it connects, and again whenever the connection is gone while it has
     * something left to run. That may be a half of a transaction; so what has been connected once stays as it is.
     */
    function openSocket({ host, port, path }: Addresses): Socket {
      if (isCut || tried === host.length) {
        reject(failure)
        throw failure
      }
      const nth = (first + tried++) % host.length
      const address = { host: host[nth]!, port: port[nth]! }
      socket = connect(path === false ? address : { path })
      socket.on('error', (error) => {
        failure = error
      })
      // The driver reads from here whose certificate it is to find.
      return Object.assign(socket, address)
    }

    const options = {
      max: 1,
      connect_timeout: connectTimeout,
      max_lifetime: null,
      fetch_types: false,
      types: arrayTypes,
      onnotice: () => {},
      onclose: () => onClose(failure),
      connection: settings,
      socket: openSocket,
    }
    const sql = postgres(url, options) as unknown as postgres.Sql
    sql.unsafe(greeting).then(
      () => {
        preferred = first + tried - 1
        resolve()
      },
      (error: unknown) => {
        preferred = first + tried
        reject(error)
      },
    )
    return {
      sql,
      ready,
      cut() {
        isCut = true
        socket?.destroy()
      },
    }
  }
}
