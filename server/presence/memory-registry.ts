import { type OpenPresenceRegistry, sayLeaving } from './registry.ts'

/** Users who are counted out together, as one statement notes when they left. */
const usersAtOnce = 500

/** The registry of a deployment with one replica: who is connected here is all there is to know. */
export const createMemoryRegistry: OpenPresenceRegistry = (hooks) => {
  const here = new Set<string>()
  /** Who has left and has not been counted out yet. */
  const leaving = new Set<string>()
  let isCounting = false

  async function countOut() {
    if (isCounting) return
    isCounting = true
    // Whoever leaves in the same moment is counted out together.
    await new Promise(setImmediate)
    while (leaving.size > 0) {
      const userIds = [...leaving].slice(0, usersAtOnce)
      await sayLeaving(hooks, userIds)
      // They may have come back meanwhile.
      const gone = userIds.filter((userId) => leaving.delete(userId))
      for (const userId of gone) here.delete(userId)
      if (gone.length > 0) hooks.onMoved(gone)
    }
    isCounting = false
  }

  return {
    join(userId) {
      if (leaving.delete(userId) || here.has(userId)) return
      here.add(userId)
      hooks.onMoved([userId])
    },
    leave(userId) {
      if (!here.has(userId)) return
      leaving.add(userId)
      void countOut()
    },
    async online(userIds) {
      return new Set(userIds.filter((userId) => here.has(userId)))
    },
    async close() {
      const userIds = [...here]
      for (let start = 0; start < userIds.length; start += usersAtOnce) {
        await sayLeaving(hooks, userIds.slice(start, start + usersAtOnce))
      }
    },
  }
}
