import { createLoaders, createViewerLoaders, type Loaders, type ViewerLoaders } from '../schema/loaders.ts'
import type { EventArgs } from './http/caller.ts'
import type { Change } from './message-store/changes.ts'
import type { Services } from './services.ts'
import type { Viewer } from './viewer.ts'

/** What the answer to an event is loaded with. */
export type EventLoaders = {
  /** What is the same for everybody. */
  shared(event: EventArgs): Loaders
  /** What depends on the viewer. */
  own(event: EventArgs, viewer: Viewer | null): ViewerLoaders
}

/**
 * Lets the answers to events that came together share what they load. Nothing may be answered with what was loaded
 * before it happened, as the answer stays with the client for good.
 *
 * - What is answered in one round is loaded together: all of it had happened by then.
 * - Where a round is of changes of one channel, so is what other groups answer that came as far and no further: what
 *   was loaded for the last of them was loaded when all before it had happened. Of several channels that is not so, nor
 *   of accounts, where the last of one stream says nothing of the others.
 */
export function createEventLoaders(services: Services): EventLoaders {
  const byLastChange = new WeakMap<Change, Loaders>()
  const byRound = new WeakMap<readonly unknown[], Loaders>()
  const ownByRound = new WeakMap<readonly unknown[], ViewerLoaders>()

  const remembered = <Key extends object, Made>(known: WeakMap<Key, Made>, key: Key, make: () => Made): Made => {
    const made = known.get(key) ?? make()
    known.set(key, made)
    return made
  }

  function loadersOf(round: readonly unknown[]): Loaders {
    const last = lastOfOneChannel(round)
    const make = () => createLoaders(services)
    return last === null ? make() : remembered(byLastChange, last, make)
  }

  return {
    shared: ({ round }) => remembered(byRound, round, () => loadersOf(round)),
    // A round is of one group, and so of one viewer.
    own: ({ round }, viewer) => remembered(ownByRound, round, () => createViewerLoaders(services, viewer)),
  }
}

/** The last of a round where all of it are changes of one channel; else null. */
function lastOfOneChannel(round: readonly unknown[]): Change | null {
  const changes = round.map(changeOf)
  const last = changes.at(-1) ?? null
  return changes.every((change) => change !== null && change.channelId === last?.channelId) ? last : null
}

/** The change of a channel that an item tells: as it is on the channel's own stream, and wrapped in an inbox. */
function changeOf(item: unknown): Change | null {
  if (typeof item !== 'object' || item === null || !('type' in item)) return null
  if (item.type === 'change' && 'change' in item) return item.change as Change
  return item.type === 'message' ? (item as Change) : null
}
