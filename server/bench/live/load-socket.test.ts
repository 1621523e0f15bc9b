import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { LoadSocket, markOf, type Script } from './load-socket.ts'

let server: WebSocketServer
let client: LoadSocket
let told: { opened: number; events: number[]; numbers: number[]; lost: string[] }

beforeEach(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  told = { opened: 0, events: [], numbers: [], lost: [] }
})
afterEach(() => {
  client.close()
  server.close()
})

/** A client, and both ends of its connection at the server. */
async function open(script: Partial<Script> = {}): Promise<{ webSocket: WebSocket; raw: Socket; heard: string[] }> {
  const connected = once(server, 'connection')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  client = new LoadSocket({ url, says: [], ...script }, true, undefined, {
    opened: () => void told.opened++,
    event: (bytes) => void told.events.push(bytes),
    number: (number) => void told.numbers.push(number),
    lost: (why) => void told.lost.push(why),
  })
  const [webSocket, request] = (await connected) as [WebSocket, { socket: Socket }]
  const heard: string[] = []
  webSocket.on('message', (data) => heard.push(String(data)))
  return { webSocket, raw: request.socket, heard }
}

const event = (number: number) => `${markOf(number)}${'x'.repeat(500)}`
/** As a server sends a text of 126 to 65,535 bytes. */
const frame = (text: string): Buffer =>
  Buffer.concat([Buffer.from([0x81, 126, text.length >> 8, text.length & 0xff]), Buffer.from(text)])

test('counts several events that come in one piece', async () => {
  const { raw } = await open()
  raw.write(Buffer.concat([1, 2, 3].map((number) => frame(event(number)))))
  await expect.poll(() => told.numbers).toEqual([1, 2, 3])
  expect(told.events).toEqual([510, 510, 510])
})

test('counts an event that comes in pieces, wherever it is cut', async () => {
  const { raw } = await open()
  const whole = Buffer.concat([frame(event(1)), frame(event(2))])
  // Within a header, a length, a mark, a text, and within the next header.
  const cuts = [0, 1, 3, 9, 300, 515, whole.length]
  for (const [nth, cut] of cuts.slice(1).entries()) {
    raw.write(whole.subarray(cuts[nth]!, cut))
    // So that the pieces are read one by one.
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await expect.poll(() => told.numbers).toEqual([1, 2])
})

test('says its texts one by one, each when the last was answered', async () => {
  const { webSocket, heard } = await open({ says: ['hello', 'subscribe'] })
  await expect.poll(() => heard).toEqual(['hello'])
  expect(told.opened).toBe(0)
  webSocket.send('welcome')
  await expect.poll(() => heard).toEqual(['hello', 'subscribe'])
  expect(told.opened).toBe(1)
})

test('answers pings of every kind, and counts none of them', async () => {
  const { webSocket, heard } = await open()
  const pong = once(webSocket, 'pong')
  webSocket.ping()
  webSocket.send('2')
  webSocket.send('{"type":"ping"}')
  await pong
  await expect.poll(() => heard).toEqual(['3', '{"type":"pong"}'])
  expect(told.events).toEqual([])
})

test('comes back with the newest cursor that it was given', async () => {
  const { webSocket, heard } = await open({ says: ['after %CURSOR%'], cursor: 'first' })
  await expect.poll(() => heard).toEqual(['after first'])
  webSocket.send(JSON.stringify({ cursor: 'second', text: event(1) }))
  await expect.poll(() => client.cursor).toBe('second')
})

test('tells why it was lost, and when an operation was refused', async () => {
  const { webSocket } = await open()
  webSocket.close(1013, 'Try again later')
  await expect.poll(() => told.lost).toEqual(['Closed: Try again later'])
  client.close()
  const next = await open()
  next.webSocket.send(JSON.stringify({ id: '1', type: 'error', payload: [{ message: 'No such channel.' }] }))
  await expect.poll(() => told.lost[1]).toContain('No such channel.')
})
