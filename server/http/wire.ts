import type { Logger } from 'pino'
import type { Gathering, Sender } from '../fanout/live/gathering.ts'
import type { Frames } from '../fanout/live/group.ts'
import type { Connection } from './connection.ts'
import { keepFrames } from './frames.ts'
import type { HttpLimits } from './limits.ts'

/** Bytes that gather for all sockets before some of them are written: they are copies, and need not all be there at once. */
const gatheredBytes = 1024 * 1024

/** Pieces that together are no longer than this are joined for one write; longer ones are handed over as they are. */
const joinedBytes = 64 * 1024

/** How everything leaves by a socket. */
export type Wire = {
  /** Sends the frames of a subscription, with what else leaves by its socket in this round. */
  take(connection: Connection, frames: Frames, subscriptionId: string): void
  /** Resolves when what was taken is on its way. */
  nextRound(): Promise<void>
  /**
   * Sends a text at once, after whatever was taken before. Resolves when it has left the process. Who does not read is
   * not read from either; and who leaves too much unread is let go, to come back for it.
   *
   * Once the socket is closing, what waits for a text to leave waits for ever, and is forgotten with the socket. Were it
   * told to go on, a source that always has a next event would keep the process from ever hearing of the close.
   */
  send(connection: Connection, text: string): Promise<void>
}

/** Joins the rounds in which things leave to the sockets that they leave by. */
export function createWire({
  gathering,
  limits,
  log,
}: {
  gathering: Gathering
  limits: Pick<HttpLimits, 'stalledBytes' | 'maxUnsentBytes' | 'pauseReadingBytes'>
  log: Logger
}): Wire {
  let writing: Connection[] = []
  let gathered = 0

  const sender: Sender = {
    send() {
      const now = writing
      writing = []
      gathered = 0
      for (const connection of now) write(connection)
    },
  }

  function write(connection: Connection): void {
    const { outgoing } = connection
    if (outgoing.length === 0) return
    connection.outgoing = nothing
    writePieces(connection, outgoing)
  }

  function writePieces(connection: Connection, pieces: readonly Buffer[]): void {
    const { socket, transport } = connection
    if (socket.readyState !== socket.OPEN) return
    if (pieces.length === 1) transport.write(pieces[0]!)
    else if (bytesOf(pieces) <= joinedBytes) transport.write(Buffer.concat(pieces))
    else {
      transport.cork()
      for (const piece of pieces) transport.write(piece)
      transport.uncork()
    }
    // Nothing is left in most cases: the kernel has it.
    if (transport.writableLength === 0) return
    keepFrames(pieces)
    if (transport.writableLength > limits.stalledBytes) stall(connection)
  }

  /** From here on nothing is told on this socket until all that waits has left: streams remember where they stood. */
  function stall(connection: Connection): void {
    const { transport } = connection
    if (transport.writableLength > limits.maxUnsentBytes) return letGo(connection)
    if (connection.stalledSince !== 0) return
    connection.stalledSince = performance.now()
    transport.once('drain', () => {
      connection.stalledSince = 0
      // Bytes that waited have left: somebody reads, and a pong may be waiting behind what is still to be read.
      connection.alive = true
      for (const operation of connection.operations) operation.stream?.resume()
    })
  }

  function letGo({ socket, transport, requestId }: Connection): void {
    log.warn({ requestId, unsentBytes: transport.writableLength }, 'socket does not read')
    socket.terminate()
  }

  return {
    take(connection, frames, subscriptionId) {
      const isFirst = connection.outgoing.length === 0
      if (isFirst && gathering.isAlone()) return writePieces(connection, frames.for(subscriptionId, true))
      const pieces = frames.for(subscriptionId)
      if (!isFirst) connection.outgoing = [...connection.outgoing, ...pieces]
      else {
        connection.outgoing = pieces
        if (writing.length === 0) gathering.add(sender)
        writing.push(connection)
      }
      gathered += bytesOf(pieces)
      if (gathered > gatheredBytes) sender.send()
    },

    nextRound: () => gathering.nextRound(),

    send(connection, text) {
      const { socket } = connection
      return new Promise((resolve) => {
        if (socket.readyState !== socket.OPEN) return
        write(connection)
        if (socket.bufferedAmount > limits.maxUnsentBytes) return letGo(connection)
        socket.send(text, (error) => {
          if (error) return
          if (socket.bufferedAmount > 0) connection.alive = true
          resolve()
        })
        if (socket.bufferedAmount > limits.pauseReadingBytes && !socket.isPaused) {
          socket.pause()
          connection.transport.once('drain', () => socket.resume())
        }
      })
    },
  }
}

const nothing: readonly Buffer[] = []

function bytesOf(pieces: readonly Buffer[]): number {
  let bytes = 0
  for (const piece of pieces) bytes += piece.length
  return bytes
}
