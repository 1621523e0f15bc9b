import { randomBytes } from 'node:crypto'
import type { OpenReplicaRegistry } from './registry.ts'

/** The registry of a deployment with one replica. */
export const createMemoryReplicas: OpenReplicaRegistry = (self) => {
  const id = randomBytes(9).toString('base64url')
  let since: Date | null = null
  let sockets = 0
  let draining = false
  return {
    async join() {
      since = new Date()
    },
    opened: () => void sockets++,
    closed: () => void sockets--,
    members: () => (since === null ? null : [{ ...self, id, sockets, load: sockets, draining, since }]),
    sent() {},
    async drain() {
      draining = true
    },
    async close() {
      since = null
    },
  }
}
