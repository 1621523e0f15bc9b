import { accessChannel } from './access.ts'
import type { Deps } from './deps.ts'

export type TypingService = ReturnType<typeof createTypingService>

/** Who is writing just now. Nothing of it is stored: it is a signal, and expires where it is shown. */
export function createTypingService({ database, announce }: Deps) {
  return {
    async set(viewerId: string, channelId: string, typing: boolean): Promise<void> {
      const { channel } = await accessChannel(database.orm, viewerId, channelId, 'post')
      announce.signal(channelId, { type: 'typing', change: channel.lastChange, userId: viewerId, typing })
    },
  }
}
