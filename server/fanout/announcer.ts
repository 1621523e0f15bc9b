import type { Announcer } from '../domain/announcer.ts'
import type { EventBus } from '../event-bus/event-bus.ts'
import type { Change } from '../message-store/changes.ts'
import { encodeChanges } from './channel-source.ts'
import { topics } from './topics.ts'

/**
 * The announcer that publishes on the bus. `onChannel` is told of a channel's changes when the turn of whoever has made
 * them is over.
 */
export function createAnnouncer(
  bus: EventBus,
  onChannel: (channelId: string, changes: readonly Change[]) => void = () => {},
): Announcer {
  const publish = (topic: string, news: unknown) => bus.publish(topic, JSON.stringify(news))
  const presence = (userId: string) => publish(topics.presence(userId), userId)
  return {
    channel(changes) {
      const [first] = changes
      if (first === undefined) return
      queueMicrotask(() => onChannel(first.channelId, changes))
      bus.publish(topics.channel(first.channelId), encodeChanges(changes))
    },
    account(change) {
      publish(topics.account(change.userId), change)
      // Who shares a channel with somebody may see them: coming and going can begin and end it.
      if (change.kind === 'MEMBERSHIP') presence(change.userId)
    },
    signal: (channelId, signal) => publish(topics.signals(channelId), signal),
    presence,
    sessionEnded: (userId, sessionId) => publish(topics.sessions, { userId, sessionId }),
  }
}
