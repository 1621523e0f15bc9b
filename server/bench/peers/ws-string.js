import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { listening, publishing } from './listening.js'

// The broadcast of https://github.com/websockets/ws#server-broadcast: one text, `send` for each socket.
const server = createServer(
  publishing((text) => {
    for (const client of sockets.clients) if (client.readyState === client.OPEN) client.send(text)
  }),
)
const sockets = new WebSocketServer({ server, path: '/' })
listening(server)
