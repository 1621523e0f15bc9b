import type { StreamDeps } from '../server/fanout/streams/stream-deps.ts'
import type { Services } from '../server/services.ts'
import type { Viewer } from '../server/viewer.ts'
import type { Loaders, ViewerLoaders } from './loaders.ts'

/** What resolvers are given: one for each request, and one for each event of a subscription. */
export type Context = {
  viewer: Viewer | null
  services: Services
  /** The address that the request came from, as far as it is known. */
  ip?: string
  streams: StreamDeps
  /** What is the same for everybody. For an event it is shared by all who are told of it. */
  loaders: Loaders
  /** What depends on who asks. */
  own: ViewerLoaders
  /** Counts text that goes into the answer; throws QUERY_TOO_COMPLEX once it is more than any screen shows. */
  spend(text: string): string
  /** Keep GraphiQL's page signed in; nothing elsewhere. */
  startCookieSession(token: string, expiresAt: Date): void
  endCookieSession(): void
}
