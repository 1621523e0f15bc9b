import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/**
 * Many WebSocket clients that do nothing with what they get but count it: a client library would be the bottleneck of a
 * fan-out before the server is.
 */
export type FrameCounter = {
  /** Counts from zero again. Resolves when so many text frames have come; rejects when no more of them come. */
  next(frames: number): Promise<void>
  close(): void
}

/** After so long without a single frame nothing more is expected. Milliseconds. */
const silenceMs = 10_000

const textFrame = 0x81
const pingFrame = 0x89
const pongFrame = 0x8a

/** Opens a socket for each of `greetings`, and sends on it the texts that it lists, each when the last was answered. */
export async function openFrameCounter(
  url: URL,
  protocol: string,
  greetings: readonly (readonly string[])[],
): Promise<FrameCounter> {
  let frames = 0
  let wanted = Infinity
  let reached = () => {}
  const count = () => {
    if (++frames === wanted) reached()
  }
  const sockets: Socket[] = []
  for (const greeting of greetings) {
    const socket = await upgrade(url, protocol)
    for (const [place, text] of greeting.entries()) {
      if (place > 0) await once(socket, 'data')
      socket.write(maskedFrame(textFrame, Buffer.from(text)))
    }
    countFrames(socket, count)
    sockets.push(socket)
  }
  return {
    next(count) {
      frames = 0
      wanted = count
      return new Promise((resolve, reject) => {
        let seen = -1
        const watch = setInterval(() => {
          if (frames === seen) stop(() => reject(new Error(`${frames} of ${wanted} frames came`)))
          seen = frames
        }, silenceMs)
        const stop = (settle: () => void) => {
          clearInterval(watch)
          settle()
        }
        reached = () => stop(resolve)
      })
    },
    close: () => sockets.forEach((socket) => socket.destroy()),
  }
}

async function upgrade({ hostname, port, pathname }: URL, protocol: string): Promise<Socket> {
  const socket = connect(Number(port), hostname)
  socket.setNoDelay(true)
  const key = randomBytes(16).toString('base64')
  const headers = ['connection: upgrade', 'upgrade: websocket', 'sec-websocket-version: 13', `sec-websocket-key: ${key}`]
  socket.write(
    [`GET ${pathname} HTTP/1.1`, `host: ${hostname}:${port}`, ...headers, `sec-websocket-protocol: ${protocol}`, '', ''].join('\r\n'),
  )
  const [answer] = (await once(socket, 'data')) as [Buffer]
  if (!answer.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(`No upgrade: ${answer}`)
  return socket
}

/** Walks from header to header; what stands between them is never looked at. */
function countFrames(socket: Socket, count: () => void): void {
  let rest: Buffer = Buffer.alloc(0)
  /** Bytes of the frame under way that are still to come. */
  let skip = 0
  socket.on('data', (chunk: Buffer) => {
    let at = 0
    if (skip >= chunk.length) {
      skip -= chunk.length
      return
    }
    at = skip
    skip = 0
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    rest = Buffer.alloc(0)
    while (at < data.length) {
      const header = headerOf(data, at)
      if (header === null) {
        rest = data.subarray(at)
        return
      }
      if (data[at] === textFrame) count()
      if (data[at] === pingFrame) socket.write(maskedFrame(pongFrame, Buffer.alloc(0)))
      at += header.bytes + header.payload
    }
    skip = at - data.length
  })
}

/** How long a server's frame is, by its first bytes; null where they have not all come. */
function headerOf(data: Buffer, at: number): { bytes: number; payload: number } | null {
  if (data.length - at < 2) return null
  const short = data[at + 1]! & 0x7f
  if (short < 126) return { bytes: 2, payload: short }
  if (data.length - at < (short === 126 ? 4 : 10)) return null
  return short === 126
    ? { bytes: 4, payload: data.readUInt16BE(at + 2) }
    : { bytes: 10, payload: Number(data.readBigUInt64BE(at + 2)) }
}

/** A frame from a client, which must be masked; a mask of zeros is one. */
function maskedFrame(kind: number, payload: Buffer): Buffer {
  const { length } = payload
  const header = length < 126 ? [kind, 0x80 | length] : [kind, 0x80 | 126, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([...header, 0, 0, 0, 0]), payload])
}
