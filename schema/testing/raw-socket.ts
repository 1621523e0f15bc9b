import { WebSocket } from 'ws'

/** A socket that is signed in and subscribes to nothing, to see how it ends. */
export type RawSocket = {
  /** With which code the server closed it. */
  closed: Promise<number>
  isOpen(): boolean
  close(): void
}

/** Opens a socket with a token; resolves once the server has taken it. */
export async function openRawSocket(url: string, token: string): Promise<RawSocket> {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws')
  const closed = new Promise<number>((resolve) => {
    socket.on('close', resolve)
  })
  await new Promise((resolve, reject) => {
    socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init', payload: { token } })))
    socket.on('message', resolve)
    socket.on('error', reject)
    void closed.then((code) => reject(new Error(`closed with ${code}`)))
  })
  return { closed, isOpen: () => socket.readyState === WebSocket.OPEN, close: () => socket.close() }
}
