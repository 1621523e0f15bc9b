import { createServer } from 'node:http'
import { Sender, WebSocketServer } from 'ws'
import { listening, publishing } from './listening.js'

// As little as a broadcast by Node can do: one frame, built once and written to each TCP socket as it is.
const raw = new Set()
const server = createServer(
  publishing((text) => {
    const parts = Sender.frame(Buffer.from(text), { fin: true, opcode: 1, mask: false, rsv1: false, readOnly: false })
    const frame = Buffer.concat(parts)
    for (const socket of raw) socket.write(frame)
  }),
)
const sockets = new WebSocketServer({ server, path: '/', clientTracking: false })
sockets.on('connection', (webSocket, { socket }) => {
  raw.add(socket)
  webSocket.on('close', () => raw.delete(socket))
})
listening(server)
