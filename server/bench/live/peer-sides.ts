import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { readPort } from '../bench-server.ts'
import type { Script } from './load-socket.ts'
import { createPoster, type Poster, runOperation } from './post.ts'
import { startProgram } from './processes.ts'
import { collectGarbageOf, garbageFlags, type Side } from './side.ts'

/** A server to compare with, which runs on Node from a file in `server/bench/peers/`. */
export type Peer = {
  name: string
  file: string
  /** What a client says to it. */
  script(port: number): Script
  publish(poster: Poster, content: string): Promise<unknown>
}

let seq = 0

/** The message of the comparison, for servers that hand on what they are given. */
export function messageJson(content: string): string {
  seq++
  return JSON.stringify({
    id: `message-${String(seq).padStart(12, '0')}`,
    seq,
    channel: { id: 'channel-000000000001' },
    author: { id: 'user-000000000001', displayName: 'Alice', avatarUrl: 'https://chat.example.org/avatars/alice.png' },
    content,
    createdAt: new Date().toISOString(),
    editedAt: null,
    attachments: [],
    reactions: [],
  })
}

const channelId = 'channel-000000000001'
const subscription = `subscription ($channelId: ID!) { messages(channelId: $channelId) {
  id seq channel { id } author { id displayName avatarUrl } content createdAt editedAt attachments { id url }
  reactions { emoji count } } }`
const mutation = `mutation ($channelId: ID!, $content: String!) {
  sendMessage(channelId: $channelId, content: $content) { id } }`

const overGraphql = {
  script: (port: number): Script => ({
    url: `http://127.0.0.1:${port}/graphql`,
    protocol: 'graphql-transport-ws',
    says: [
      JSON.stringify({ type: 'connection_init' }),
      JSON.stringify({ id: randomUUID(), type: 'subscribe', payload: { query: subscription, variables: { channelId } } }),
    ],
  }),
  publish: (poster: Poster, content: string) => runOperation(poster, mutation, { channelId, content }),
}

const overPost = {
  publish: (poster: Poster, content: string) => poster.post('/publish', messageJson(content)),
}

const overWebSocket = { ...overPost, script: (port: number): Script => ({ url: `http://127.0.0.1:${port}/`, says: [] }) }

/** Those that run on Node, by the name that `--peers` knows them by. */
export const nodePeers: Record<string, Peer> = {
  'ws-string': { name: 'ws, one prebuilt string', file: 'ws-string.js', ...overWebSocket },
  'ws-frame': { name: 'ws, one prebuilt frame', file: 'ws-frame.js', ...overWebSocket },
  yoga: { name: 'yoga + graphql-ws', file: 'yoga.js', ...overGraphql },
  mercurius: { name: 'mercurius', file: 'mercurius.js', ...overGraphql },
  apollo: { name: 'Apollo Server + graphql-ws', file: 'apollo.js', ...overGraphql },
  'socket.io': {
    name: 'socket.io, Redis adapter',
    file: 'socket-io.js',
    ...overPost,
    script: (port) => ({
      url: `http://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`,
      hearsFirst: true,
      says: ['40'],
    }),
  },
}

export type PeerOptions = {
  /** Where the peers are installed, see `installPeers`. */
  folder: string
  redisUrl: string
}

/** Starts a peer on the core of the servers; resolves when it is ready. */
export async function startPeer(peer: Peer, { folder, redisUrl }: PeerOptions): Promise<Side> {
  const server = startProgram(process.execPath, [...garbageFlags, join(folder, peer.file)], {
    place: 'server',
    cwd: folder,
    // The warnings are about listeners of one event, of which there are as many as sockets.
    env: { ...process.env, NODE_ENV: 'production', NODE_NO_WARNINGS: '1', REDIS_URL: redisUrl },
  })
  const port = await readPort(server.child)
  const poster = createPoster(port)
  return {
    name: peer.name,
    pids: () => [server.pid],
    scripts: (sockets) => Array.from({ length: sockets }, () => peer.script(port)),
    publish: (content) => peer.publish(poster, content),
    collectGarbage: () => collectGarbageOf([server.pid]),
    async stop() {
      poster.close()
      await server.end('SIGKILL')
    },
  }
}
