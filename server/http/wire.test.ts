import { setTimeout as sleep } from 'node:timers/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createGathering } from '../fanout/live/gathering.ts'
import { Connection } from './connection.ts'
import { nextFrames } from './frames.ts'
import { defaultLimits } from './limits.ts'
import { createWire } from './wire.ts'
import { until } from './test-server.ts'

async function pair() {
  const http = createServer()
  const sockets = new WebSocketServer({ noServer: true })
  const { promise, resolve } = Promise.withResolvers<Connection>()
  http.on('upgrade', (request, transport, head) =>
    sockets.handleUpgrade(request, transport, head, (socket) =>
      resolve(new Connection(socket, transport, { caller: { requestId: '1', ip: '', userAgent: null }, cookie: null, pingAt: 1e12 })),
    ),
  )
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done))
  const client = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}`)
  await new Promise((done) => client.once('open', done))
  return { client, connection: await promise, close: () => (client.terminate(), http.close()) }
}

test('a socket that is read from no more is read from again once it has taken what was unsent', async () => {
  const gathering = createGathering((error) => {
    throw error
  })
  const wire = createWire({ gathering, limits: defaultLimits, log: pino({ level: 'silent' }) })
  const { client, connection, close } = await pair()
  const heard: string[] = []
  connection.socket.on('message', (data) => heard.push(String(data)))
  let bytes = 0
  client.on('message', (data: Buffer) => (bytes += data.length))
  client.pause()
  void wire.send(connection, 'x'.repeat(10_000_000))
  expect(connection.socket.isPaused).toBe(true)
  wire.take(connection, nextFrames([Buffer.from(JSON.stringify('y'.repeat(3_000_000)))]), '1')
  await wire.nextRound()
  expect(connection.stalledSince).not.toBe(0)
  client.resume()
  await until(() => bytes > 13_000_000)
  await sleep(50)
  client.send('hello?')
  await until(() => heard.length === 1, 2_000)
  close()
})
