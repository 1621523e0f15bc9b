import type { Presence } from '../domain/presence.ts'
import { badInput } from '../errors.ts'
import { createBell, pullIterator } from '../lib/pull-iterator.ts'
import { patiently } from './patience.ts'
import type { StreamDeps } from './streams.ts'
import { topics } from './topics.ts'

/** People whose presence one stream may watch. */
export const maxWatched = 500

/** Whose presence has moved: each of these users once at first, then whenever it does. */
export async function openPresence(
  { bus }: StreamDeps,
  userIds: readonly string[],
  find: (userIds: readonly string[]) => Promise<Map<string, Presence>>,
): Promise<AsyncIterableIterator<string>> {
  const watched = new Set(userIds)
  if (watched.size > maxWatched) throw badInput(`At most ${maxWatched} people at once.`, 'userIds')
  const bell = createBell()
  const waiting = new Set(watched)
  const subscriptions = await Promise.all(
    [...watched].map((userId) =>
      bus.subscribe(topics.presence(userId), () => {
        waiting.add(userId)
        bell.ring()
      }),
    ),
  )
  /** What was told of each last. */
  const told = new Map<string, string>()
  let closed = false
  const isClosed = () => closed
  return pullIterator(
    async () => {
      for (;;) {
        const [userId] = waiting
        if (userId === undefined) {
          await bell.wait()
          continue
        }
        waiting.delete(userId)
        const seen = (await patiently(() => find([userId]), isClosed)).get(userId)!
        const news = JSON.stringify([seen.status, seen.statusText])
        // Who may not see how somebody comes and goes must not be able to tell it from when they are told nothing new.
        if (told.get(userId) === news) continue
        told.set(userId, news)
        return userId
      }
    },
    () => {
      closed = true
      subscriptions.forEach((unsubscribe) => unsubscribe())
    },
  )
}
