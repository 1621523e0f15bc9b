import { LRUCache } from 'lru-cache'
import { findPlace } from '../replicas/placement.ts'
import { arrivalMs, type ReplicaRegistry } from '../replicas/registry.ts'

export type EndpointService = ReturnType<typeof createEndpointService>

/** Where a client should open its socket, and until when that is worth following. */
export type Endpoint = { url: string; expiresAt: Date }

/**
 * How long it may be followed. Long enough for a client on a bad line to have connected; a replica that has gone or
 * filled up meanwhile costs one attempt in vain. Milliseconds.
 */
const lifeMs = 30_000

/** Viewers whose asking is remembered: of those who have asked in the last `arrivalMs`. */
const maxAsking = 50_000

/** Where the API is under an address of the deployment's. */
const path = '/graphql'

/**
 * Sends each client to the replica where it belongs. The devices of one user belong together, as what is told to one of
 * them is mostly told to all. `socketsPerUser`: how many of one user a replica takes.
 */
export function createEndpointService({ replicas, publicUrl, socketsPerUser = Infinity }: {
  replicas: ReplicaRegistry
  publicUrl(): string
  socketsPerUser?: number | undefined
}) {
  /** How often viewers were sent to a place since they were first, for as long as that counts there. */
  const asking = new LRUCache<string, { count: number }>({ max: maxAsking, ttl: arrivalMs })

  /** Expects a viewer at a place; no more often than it would take them, however often they ask. */
  function expect(placeId: string, viewerId: string) {
    const key = `${placeId} ${viewerId}`
    const before = asking.get(key)
    if (before === undefined) asking.set(key, { count: 1 })
    else if (before.count++ >= socketsPerUser) return
    replicas.sent(placeId)
  }

  return {
    /**
     * Where the viewer should connect, or, where nobody is signed in, somebody at this address. It is advice: other
     * replicas take them as well. Where it is not known who there is, it is the public address, which always leads to
     * some replica that is there. Those that drain are left out; one without an address of its own has its share, and
     * is reached by the public one. Never fails.
     */
    find(viewerId: string | null, address: string): Endpoint {
      const willing = (replicas.members() ?? []).filter(({ draining }) => !draining)
      const places = willing.map(({ id, url, load }) => ({ id, url, load, name: url ?? id }))
      const place = findPlace(places, viewerId ?? address)
      // Who is not signed in cannot keep a socket, so that there is nobody to expect.
      if (place !== null && viewerId !== null) expect(place.id, viewerId)
      return { url: socketUrl(place?.url ?? publicUrl()), expiresAt: new Date(Date.now() + lifeMs) }
    },
  }
}

/** `https://chat.example.org` → `wss://chat.example.org/graphql`. */
const socketUrl = (url: string): string => url.replace(/^http(s?)/i, (_, s: string) => `ws${s.toLowerCase()}`) + path
