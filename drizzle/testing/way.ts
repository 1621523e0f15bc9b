import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to Postgres that a test may hold up, mute or cut. */
export type Way = {
  /** As the database's own, by this way. */
  url: string
  /** How long whatever is said takes, in milliseconds, in either direction. */
  delayMs: number
  /** Nothing that Postgres says arrives. */
  isMute: boolean
  /** Breaks all connections. */
  cut(): void
  close(): Promise<void>
}

/** Opens a way to the Postgres at `url`, from a port of its own. */
export async function openWay(url: string): Promise<Way> {
  const { hostname, port } = new URL(url)
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(Number(port), hostname)
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => other.destroy())
      one.on('data', (chunk) => {
        if (one === far && way.isMute) return
        if (way.delayMs === 0) other.write(chunk)
        else setTimeout(() => other.write(chunk), way.delayMs)
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const own = new URL(url)
  own.port = String((server.address() as AddressInfo).port)
  const cut = () => sockets.forEach((socket) => socket.destroy())
  const way: Way = {
    url: own.href,
    delayMs: 0,
    isMute: false,
    cut,
    async close() {
      cut()
      server.close()
    },
  }
  return way
}
