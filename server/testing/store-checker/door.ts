import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'

/** An address that stays, for a store that has another port after each start; and a place to cut what goes through. */
export type Door = {
  port: number
  /** Opens on to a port of this machine. */
  open(port: number): Promise<void>
  /** Nobody comes in any more, and who is inside is cut off. */
  shut(): Promise<void>
  /** Cuts one connection, or all of them. Tells how many. */
  cut(which: 'one' | 'all'): number
  /** Loses everything that the store says from now on, and cuts the connections after `ms` milliseconds. */
  mute(which: 'one' | 'all', ms: number): Promise<number>
}

type Passage = { client: Socket; store: Socket }

/** Makes a door on a free port, which is shut. */
export async function createDoor(random: Random): Promise<Door> {
  const passages = new Set<Passage>()
  let target = 0
  let server: Server | null = null

  const choose = (which: 'one' | 'all') =>
    which === 'all' || passages.size === 0 ? [...passages] : [random.pick([...passages])]
  const end = ({ client, store }: Passage) => {
    client.destroy()
    store.destroy()
  }

  function enter(client: Socket) {
    // Who had knocked already when the door was shut.
    if (server === null) return client.destroy()
    const store = connect({ port: target, host: '127.0.0.1', noDelay: true })
    client.setNoDelay(true)
    const passage = { client, store }
    passages.add(passage)
    for (const socket of [client, store]) {
      // That a connection breaks is what a door is for.
      socket.on('error', () => {})
      socket.on('close', () => {
        passages.delete(passage)
        end(passage)
      })
    }
    client.pipe(store)
    store.pipe(client)
  }

  async function listen(port: number): Promise<number> {
    // What was shut a moment ago may take another to be free.
    for (let attempt = 1; ; attempt++) {
      const listening = createServer(enter).listen(port, '127.0.0.1')
      try {
        await once(listening, 'listening')
        server = listening
        return (listening.address() as AddressInfo).port
      } catch (error) {
        if (attempt === 100) throw error
        await sleep(20)
      }
    }
  }

  async function shut() {
    if (server === null) return
    const closed = once(server, 'close')
    server.close()
    server = null
    for (const passage of passages) end(passage)
    await closed
  }

  const port = await listen(0)
  await shut()
  return {
    port,
    async open(to) {
      target = to
      await listen(port)
    },
    shut,
    cut(which) {
      const chosen = choose(which)
      for (const passage of chosen) end(passage)
      return chosen.length
    },
    async mute(which, ms) {
      const chosen = choose(which)
      for (const { client, store } of chosen) {
        store.unpipe(client)
        store.resume()
      }
      await sleep(ms)
      for (const passage of chosen) end(passage)
      return chosen.length
    },
  }
}
