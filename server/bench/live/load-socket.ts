import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { maskedFrame, opcodes, readFrames } from './frames.ts'

/** What one client says, in order: each text when the one before it was answered. */
export type Script = {
  /** `http://` or `ws://`, with path and query. */
  url: string
  /** Subprotocol that is asked for; none where it is left out. */
  protocol?: string
  /** Whether the server speaks first. */
  hearsFirst?: boolean
  /** In a text `%CURSOR%` stands for the newest cursor that this client was given, from `cursor` on. */
  says: readonly string[]
  cursor?: string
}

export type LoadSocketEvents = {
  /** Everything has been said. */
  opened(): void
  /** An event came, so many bytes long. */
  event(bytes: number): void
  /** Of a probe: the number that the event bears, see `markOf`. */
  number(number: number): void
  /** It is over, and nobody has closed it here. */
  lost(why: string): void
}

/** Shorter texts are talk of the protocol: greetings, pings. The events of the benchmarks are longer. */
const leastEventBytes = 150
/** Read by all sockets, one after the other. */
const readBuffer = Buffer.allocUnsafe(256 * 1024)
const tilde = 0x7e
const digits = 8

/** What events bear, so that a client can tell which one came without parsing it. */
export const markOf = (number: number): string => `~${String(number).padStart(digits, '0')}~`

/**
 * A WebSocket client that counts what it gets and looks at as little of it as it can: a client library would be the
 * bottleneck of a fan-out before the server is.
 */
export class LoadSocket {
  readonly #script: Script
  readonly #events: LoadSocketEvents
  readonly #isProbe: boolean
  readonly #socket: Socket
  /** The beginning of a frame whose end has not come yet. */
  #rest: Buffer | null = null
  #isUpgraded = false
  #said = 0
  #isOver = false
  #isFirst = true
  /** The newest cursor seen, where the script has any use for it. */
  cursor: string | undefined

  constructor(script: Script, isProbe: boolean, localAddress: string | undefined, events: LoadSocketEvents) {
    this.#script = script
    this.#events = events
    this.#isProbe = isProbe
    this.cursor = script.cursor
    const { hostname, port, pathname, search, host } = new URL(script.url)
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      localAddress,
      noDelay: true,
      onread: { buffer: readBuffer, callback: (bytes) => this.#read(readBuffer.subarray(0, bytes)) },
    })
    this.#socket.on('error', (error) => this.#lose(error.message))
    this.#socket.on('close', () => this.#lose('The connection was closed'))
    const headers = [
      `GET ${pathname}${search} HTTP/1.1`,
      `host: ${host}`,
      'connection: upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      `sec-websocket-key: ${randomBytes(16).toString('base64')}`,
      ...(script.protocol === undefined ? [] : [`sec-websocket-protocol: ${script.protocol}`]),
    ]
    this.#socket.write(`${headers.join('\r\n')}\r\n\r\n`)
  }

  close(): void {
    this.#isOver = true
    this.#socket.destroy()
  }

  #lose(why: string): void {
    if (this.#isOver) return
    this.close()
    this.#events.lost(why)
  }

  /** Whatever is kept of `data` is copied: the next socket reads into the same memory. */
  #read(data: Buffer): boolean {
    let whole = this.#rest === null ? data : Buffer.concat([this.#rest, data])
    if (!this.#isUpgraded) {
      const end = whole.indexOf('\r\n\r\n')
      if (end === -1) this.#rest = Buffer.from(whole)
      else if (whole.subarray(0, 12).toString('latin1') === 'HTTP/1.1 101') {
        this.#isUpgraded = true
        this.#rest = null
        whole = whole.subarray(end + 4)
        if (!this.#script.hearsFirst) this.#sayNext()
      } else this.#lose(`No upgrade: ${whole.subarray(0, whole.indexOf('\r\n')).toString('latin1')}`)
      if (!this.#isUpgraded) return true
    }
    const used = readFrames(whole, this.#onFrame)
    this.#rest = used === whole.length ? null : Buffer.from(whole.subarray(used))
    return true
  }

  readonly #onFrame = (opcode: number, data: Buffer, start: number, end: number): void => {
    if (opcode === opcodes.ping) this.#write(opcodes.pong, data.toString('latin1', start, end))
    else if (opcode === opcodes.close) this.#lose(`Closed: ${data.toString('utf8', start + 2, end)}`)
    else if (opcode === opcodes.text) this.#hear(data, start, end)
  }

  #hear(data: Buffer, start: number, end: number): void {
    if (this.#isFirst && this.#isOpen()) {
      const text = data.toString('utf8', start, end)
      if (text.includes('"type":"error"') || text.includes('"errors":')) return this.#lose(text)
    }
    if (end - start >= leastEventBytes && this.#isOpen()) {
      this.#isFirst = false
      if (this.#script.cursor !== undefined) this.#keepCursor(data, start, end)
      this.#events.event(end - start)
      if (this.#isProbe) this.#readNumber(data, start, end)
      return
    }
    const text = data.toString('utf8', start, end)
    // A ping of socket.io's, and one of graphql-transport-ws.
    if (text === '2') return this.#write(opcodes.text, '3')
    if (text.startsWith('{"type":"ping"')) return this.#write(opcodes.text, '{"type":"pong"}')
    if (text.includes('"type":"error"') || text.includes('"type":"complete"')) return this.#lose(text)
    if (!this.#isOpen()) this.#sayNext()
  }

  readonly #isOpen = (): boolean => this.#said > this.#script.says.length

  #sayNext(): void {
    const text = this.#script.says[this.#said]
    this.#said++
    if (text !== undefined) this.#write(opcodes.text, text.replace('%CURSOR%', this.cursor ?? ''))
    // What is said last may have no answer of its own.
    if (this.#said === this.#script.says.length) this.#said++
    if (this.#isOpen()) this.#events.opened()
  }

  #write(opcode: number, text: string): void {
    this.#socket.write(maskedFrame(opcode, Buffer.from(text)))
  }

  #readNumber(data: Buffer, start: number, end: number): void {
    const at = data.indexOf(tilde, start)
    if (at === -1 || at + digits + 1 >= end || data[at + digits + 1] !== tilde) return
    this.#events.number(Number(data.toString('latin1', at + 1, at + 1 + digits)))
  }

  #keepCursor(data: Buffer, start: number, end: number): void {
    const key = '"cursor":"'
    const at = data.indexOf(key, start)
    if (at === -1 || at >= end) return
    const from = at + key.length
    this.cursor = data.toString('latin1', from, data.indexOf('"', from))
  }
}
