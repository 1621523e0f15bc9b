import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

/**
 * The least that a broadcast can do, as a process of its own: told how often, it sends a prebuilt text to everybody, and
 * answers with the processor time that it has used so far.
 */
export type BroadcastOrder = { times: number; text: string }
export type BroadcastReport = { port: number; cpuSeconds: number }

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })

function answer(): void {
  const { user, system } = process.cpuUsage()
  process.send!({ port: (server.address() as AddressInfo).port, cpuSeconds: (user + system) / 1e6 } satisfies BroadcastReport)
}

server.on('listening', answer)
process.on('message', async ({ times, text }: BroadcastOrder) => {
  for (let time = 0; time < times; time++) await broadcast(text)
  answer()
})
process.on('disconnect', () => process.exit())

/** Resolves when the last socket has taken it. */
function broadcast(text: string): Promise<void> {
  return new Promise((resolve) => {
    let left = server.clients.size
    const taken = () => {
      if (--left === 0) resolve()
    }
    for (const client of server.clients as Set<WebSocket>) client.send(text, taken)
  })
}
