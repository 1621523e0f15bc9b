import type { Logger } from 'pino'
import type { ActiveSessions } from '../domain/active-channels.ts'
import { MaruError } from '../errors.ts'
import type { Viewer } from '../viewer.ts'
import { belongsTo, closings, expiryOf, isAnswering } from './connection.ts'
import type { Connection } from './connection.ts'
import type { HttpLimits } from './limits.ts'
import type { SocketOperation } from './socket-operation.ts'

/** How far apart sockets are closed when the server drains. */
const waveIntervalMs = 50

/** All open sockets of this replica: who has how many, which are due for a ping, and how they end. */
export type Connections = {
  add(connection: Connection): void
  remove(connection: Connection): void
  /** Counts a socket for its user; false if the user has too many. */
  claimSocket(connection: Connection, viewer: Viewer): boolean
  /** Counts an operation for its socket; throws RATE_LIMITED if there are too many. */
  beginOperation(connection: Connection, running: SocketOperation): void
  /** Counts it for its user too, once that is known. */
  claimOperation(connection: Connection, running: SocketOperation, viewer: Viewer): void
  /** Forgets an operation; that it was forgotten before does not matter. */
  endOperation(connection: Connection, running: SocketOperation): void
  closeSessions(match: (viewer: Viewer) => boolean, code?: number): void
  /** Closes all sockets, a few at a time, each when its answers are out; after `graceMs` all that are left at once. */
  drain(graceMs: number): Promise<void>
  /** What all of them have to send, in bytes, and how many are stalled. */
  unsent(): { unsentBytes: number; stalled: number }
}

/** The registry, and the one timer that all sockets share. `sessions` are told whose sockets come and go. */
export function createConnections(limits: HttpLimits, log: Logger, sessions?: ActiveSessions): Connections {
  const open = new Set<Connection>()
  const socketsOf = new Map<string, number>()
  const operationsOf = new Map<string, number>()

  const sweep = setInterval(() => {
    // Tokens end by the clock on the wall; what is measured must not stop because that clock was put back.
    const [today, now] = [Date.now(), performance.now()]
    for (const connection of open) {
      const { socket, phase, stalledSince } = connection
      if (expiryOf(connection) <= today) socket.close(...closings.expired)
      else if (connection.pingAt <= now) ping(connection, now)
      if (stalledSince !== 0 && stalledSince + limits.stalledMs <= now) giveUp(connection)
      if (phase === 'new' && connection.openedAt + limits.connectionInitTimeoutMs <= now) socket.close(...closings.silent)
      else if (isIdle(connection) && connection.usedAt + limits.anonymousIdleMs <= now) socket.close(...closings.idle)
    }
  }, limits.sweepIntervalMs)
  sweep.unref()

  function ping(connection: Connection, now: number): void {
    if (!connection.alive) return connection.socket.terminate()
    connection.alive = false
    connection.pingAt = now + limits.pingIntervalMs
    connection.socket.ping()
  }

  const isIdle = ({ viewer, operations }: Connection) => viewer === null && operations.length === 0

  /** The close goes behind all that is unsent: who begins to read again learns why, and who does not is cut off. */
  function giveUp({ socket, transport, requestId }: Connection): void {
    if (socket.readyState !== socket.OPEN) return
    log.info({ requestId, unsentBytes: transport.writableLength }, 'socket stays stalled')
    socket.close(...closings.stalled)
    setTimeout(() => socket.terminate(), limits.sweepIntervalMs).unref()
  }

  function release(running: SocketOperation): void {
    if (running.viewer) count(operationsOf, running.viewer.userId, -1)
  }

  return {
    add(connection) {
      open.add(connection)
    },

    remove(connection) {
      if (!open.delete(connection)) return
      if (connection.viewer === null) return
      count(socketsOf, connection.viewer.userId, -1)
      sessions?.closed(connection.viewer)
    },

    claimSocket(connection, viewer) {
      if (!open.has(connection)) return false
      if ((socketsOf.get(viewer.userId) ?? 0) >= limits.socketsPerUser) return false
      count(socketsOf, viewer.userId, 1)
      connection.viewer = viewer
      sessions?.opened(viewer)
      return true
    },

    beginOperation(connection, running) {
      if (connection.operations.length >= limits.operationsPerSocket) throw tooMany('on this socket')
      // Joined rather than pushed: an array that grows takes room for 16 more.
      connection.operations = [...connection.operations, running]
      connection.usedAt = performance.now()
    },

    claimOperation(connection, running, viewer) {
      if ((operationsOf.get(viewer.userId) ?? 0) >= limits.operationsPerUser) throw tooMany('of this user')
      running.viewer = viewer
      // The socket may have closed while the token was checked, and its operations been forgotten.
      if (!running.isOver) count(operationsOf, viewer.userId, 1)
    },

    endOperation(connection, running) {
      if (!connection.operations.includes(running)) return
      connection.operations = connection.operations.filter((operation) => operation !== running)
      connection.usedAt = performance.now()
      release(running)
    },

    closeSessions(match, code = closings.sessionEnded[0]) {
      for (const connection of open) {
        if (belongsTo(connection, match)) connection.socket.close(code, closings.sessionEnded[1])
      }
    },

    async drain(graceMs) {
      clearInterval(sweep)
      const deadline = performance.now() + graceMs
      // All clients at once would connect to the next replica at once: half of the time goes into spreading them.
      const perWave = Math.ceil(open.size / Math.max(1, graceMs / 2 / waveIntervalMs))
      while (open.size > 0 && performance.now() < deadline) {
        let left = perWave
        for (const connection of open) {
          if (left === 0) break
          if (connection.socket.readyState !== connection.socket.OPEN || isAnswering(connection)) continue
          connection.socket.close(...closings.draining)
          left--
        }
        await new Promise((resolve) => setTimeout(resolve, waveIntervalMs))
      }
      for (const { socket } of open) {
        socket.close(...closings.draining)
        socket.terminate()
      }
    },

    unsent() {
      let [unsentBytes, stalled] = [0, 0]
      for (const { transport, stalledSince } of open) {
        unsentBytes += transport.writableLength
        if (stalledSince !== 0) stalled++
      }
      return { unsentBytes, stalled }
    },
  }
}

/**
 * Too many operations fail one by one, because closing the socket would take down those that are fine; and clients
 * treat 4429, the code that names it, as the end of all trying.
 */
function tooMany(where: string): MaruError {
  return new MaruError('RATE_LIMITED', `Too many operations are under way ${where}; end some first.`, {
    retryAfterMs: 1_000,
  })
}

function count(counts: Map<string, number>, userId: string, change: number): void {
  const now = (counts.get(userId) ?? 0) + change
  if (now > 0) counts.set(userId, now)
  else counts.delete(userId)
}
