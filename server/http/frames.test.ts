import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { keepFrames, nextFrames } from './frames.ts'

/** A library that reads frames reads these: what it gets is what was meant. */
let server: WebSocketServer
let client: WebSocket
let heard: string[]
let write: (pieces: readonly Buffer[]) => void
beforeAll(async () => {
  server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
  server.on('connection', (_socket, { socket }) => {
    write = (pieces) => pieces.forEach((piece) => socket.write(piece))
  })
  await once(server, 'listening')
  client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  heard = []
  client.on('message', (data) => heard.push(String(data)))
  await once(client, 'open')
})
afterAll(() => {
  client.terminate()
  server.close()
})

const payloadOf = (size: number, nth: number) => ({ data: { nth, text: '가'.repeat(size / 3) } })

test('answers of all sizes arrive as they were, in order, under any id', async () => {
  // Around each boundary of the length in the header, and of what is copied.
  const sizes = [0, 3, 30, 60, 90, 126, 300, 16_300, 16_383, 16_500, 65_400, 65_520, 65_700, 400_000]
  const ids = ['1', '"}{', '마루', 'b1f8a3c2-5b7e-4c1d-9a68-2f0c6f7d1e55', 'x'.repeat(300)]
  const payloads = sizes.map(payloadOf)
  const frames = nextFrames(payloads.map((payload) => Buffer.from(JSON.stringify(payload))))
  for (const id of ids) write(frames.for(id))
  const expected = ids.flatMap((id) => payloads.map((payload) => ({ id, type: 'next', payload })))
  await expect.poll(() => heard.length).toBe(expected.length)
  expect(heard.map((text) => JSON.parse(text))).toEqual(expected)
})

test('frames that are only passing are the same bytes, and stay as they are for who keeps them', () => {
  const [one, other] = ['one', 'other'].map((text) => nextFrames([Buffer.from(JSON.stringify(text))]))
  const text = (pieces: readonly Buffer[]) => Buffer.concat(pieces).toString('latin1')
  const lasting = text(one!.for('1'))
  expect(text(one!.for('1', true))).toBe(lasting)
  expect(text(one!.for('2', true))).toBe(text(one!.for('2')))
  // Others have used the desk since.
  one!.for('1', true)
  other!.for('3', true)
  expect(text(one!.for('1', true))).toBe(lasting)
  const kept = one!.for('1', true)
  keepFrames(kept)
  other!.for('3', true)
  other!.for('4', true)
  expect(text(kept)).toBe(lasting)
  // Who wants them to last gets them so, whatever was passing before.
  const passing = one!.for('5', true)
  const lasts = one!.for('5')
  other!.for('6', true)
  expect(lasts).not.toBe(passing)
  expect(text(lasts)).toContain('"5"')
})

test('the same id gets the same bytes, and what is large is shared by all', () => {
  const large = Buffer.alloc(100_000, 'x')
  const frames = nextFrames([Buffer.from('{}'), large])
  expect(frames.for('1')).toBe(frames.for('1'))
  expect(frames.for('2')).toContain(large)
  expect(nextFrames([Buffer.from('{}'), Buffer.from('{}')]).for('1')).toHaveLength(1)
})
