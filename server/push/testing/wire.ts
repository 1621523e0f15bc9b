import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** The way to a server of this machine, which a test may break. It keeps its port. */
export type Wire = {
  port: number
  /** Connections that are open. */
  connections(): number
  /** Nothing passes any more, in either direction, on new connections too; nobody is told. */
  freeze(): void
  thaw(): void
  /** Breaks what is open. */
  cut(): void
  /** Takes no connections, and breaks what is open. */
  down(): Promise<void>
  up(): Promise<void>
  stop(): Promise<void>
}

/** Lays a wire to a port of this machine. */
export async function layWire(target: number): Promise<Wire> {
  let isFrozen = false
  const pairs = new Set<[Socket, Socket]>()
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    const pair: [Socket, Socket] = [near, far]
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    for (const socket of pair) {
      socket.setNoDelay(true)
      socket.on('error', end)
      socket.on('close', end)
    }
    if (isFrozen) still(pair)
    else flow(pair)
  })
  const flow = ([near, far]: [Socket, Socket]) => {
    near.pipe(far)
    far.pipe(near)
  }
  const still = (pair: [Socket, Socket]) => {
    for (const socket of pair) {
      socket.unpipe()
      socket.pause()
    }
  }
  const cut = () => {
    for (const [near, far] of pairs) {
      near.resetAndDestroy()
      far.destroy()
    }
  }
  const down = async () => {
    if (!server.listening) return cut()
    const closed = once(server, 'close')
    server.close()
    cut()
    await closed
  }
  const up = async (at: number) => {
    server.listen(at, '127.0.0.1')
    await once(server, 'listening')
  }
  await up(0)
  const { port } = server.address() as AddressInfo
  return {
    port,
    connections: () => pairs.size,
    freeze() {
      isFrozen = true
      pairs.forEach(still)
    },
    thaw() {
      isFrozen = false
      pairs.forEach(flow)
    },
    cut,
    down,
    up: () => up(port),
    stop: down,
  }
}
