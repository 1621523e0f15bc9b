import { createServer } from 'node:http'
import { createAdapter } from '@socket.io/redis-adapter'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'
import { listening, publishing } from './listening.js'

// As https://socket.io/docs/v4/redis-adapter/ shows it, with a room for the channel.
const pubClient = new Redis(process.env.REDIS_URL)
const subClient = pubClient.duplicate()
const server = createServer()
const io = new Server(server, { adapter: createAdapter(pubClient, subClient) })
io.on('connection', (socket) => socket.join('channel'))
const publish = publishing((text) => io.to('channel').emit('message', JSON.parse(text)))
server.on('request', (request, response) => {
  // socket.io answers what comes for it.
  if (!request.url.startsWith('/socket.io/')) publish(request, response)
})
listening(server)
