import { eq, sql } from 'drizzle-orm'
import { users } from '../../drizzle/tables/index.ts'
import { isOneOf } from '../lib/sql.ts'
import { checkText } from '../lib/text.ts'
import type { OpenPresenceRegistry } from '../presence/registry.ts'
import type { Deps } from './deps.ts'
import { filterContent } from './moderation-filter.ts'
import { pairKey, visiblePairs } from './visibility.ts'

export type PresenceStatus = 'ONLINE' | 'AWAY' | 'DO_NOT_DISTURB' | 'OFFLINE'
export type Presence = { status: PresenceStatus; statusText: string | null; lastActiveAt: Date | null }

export type PresenceService = ReturnType<typeof createPresenceService>

/** How long somebody whose last connection broke still counts as there: phones change networks. Milliseconds. */
export const presenceGraceMs = 10_000

const maxStatusText = 100

/** Somebody of whom there is nothing to see. One object, so that all who are shown it are shown the same. */
export const unseen: Presence = { status: 'OFFLINE', statusText: null, lastActiveAt: null }

/**
 * Who is there. Connections are counted here where they are held, over all replicas in the registry; what users chose to
 * show is in the store.
 */
export function createPresenceService(
  { database, announce, filter }: Deps,
  openRegistry: OpenPresenceRegistry,
  options = { graceMs: presenceGraceMs },
) {
  const { orm } = database
  const connections = new Map<string, number>()
  const leaving = new Map<string, NodeJS.Timeout>()
  let leavers = new Set<string>()
  let noting: Promise<unknown> = Promise.resolve()
  let nextNote: Promise<unknown> | null = null
  const registry = openRegistry({ onLeaving: note, onMoved: (userIds) => userIds.forEach(announce.presence) })

  /** Notes that these were active until now. One statement at a time for all: a replica may die with all of its users. */
  async function note(userIds: readonly string[]): Promise<void> {
    for (const userId of userIds) leavers.add(userId)
    nextNote ??= noting.then(() => {
      const noted = [...leavers]
      leavers = new Set()
      nextNote = null
      // Who hides is not given away by when they were last there.
      const written = database.run(
        `/* last active */ update users set last_active_at = now()
         where id = any ($1::bigint[]) and presence_status is distinct from 'OFFLINE'`,
        [noted],
      )
      // With the store away the time of the last visit is lost, and nothing else.
      noting = written.catch(() => {})
      return written
    })
    await nextNote
  }

  /** What is shown beside where somebody stands. Throws BAD_USER_INPUT, and UNAVAILABLE where the filter cannot tell. */
  async function acceptText(authorId: string, given: string): Promise<string> {
    const check = (text: string) => checkText(text, 'A status', 'statusText', maxStatusText)
    const checked = { kind: 'STATUS_TEXT' as const, authorId, channelId: null, content: check(given) }
    return check(await filterContent(filter, checked, 'statusText'))
  }

  /** Where these users stand, whoever asks; UNAVAILABLE where the store cannot be asked. */
  async function look(userIds: readonly string[]): Promise<Map<string, Presence>> {
    const [rows, online] = await Promise.all([
      orm
        .select({
          id: users.id,
          status: users.presenceStatus,
          statusText: users.presenceText,
          lastActiveAt: users.lastActiveAt,
        })
        .from(users)
        .where(isOneOf(users.id, userIds)),
      registry.online(userIds),
    ])
    const known = new Map(
      rows.map((row): [string, Presence] => {
        const status = online.has(row.id) ? (row.status ?? 'ONLINE') : 'OFFLINE'
        const lastActiveAt = status === 'OFFLINE' ? row.lastActiveAt : new Date()
        return [row.id, { status, statusText: row.statusText, lastActiveAt }]
      }),
    )
    return new Map(userIds.map((id) => [id, known.get(id) ?? unseen]))
  }

  return {
    /** Counts a connection of a user; returns what ends it. Waits for nothing. */
    connect(userId: string): () => void {
      const before = connections.get(userId) ?? 0
      connections.set(userId, before + 1)
      clearTimeout(leaving.get(userId))
      if (!leaving.delete(userId) && before === 0) registry.join(userId)
      let open = true
      return () => {
        if (!open) return
        open = false
        const left = connections.get(userId)! - 1
        connections.set(userId, left)
        if (left > 0) return
        const timer = setTimeout(() => {
          leaving.delete(userId)
          connections.delete(userId)
          registry.leave(userId)
        }, options.graceMs)
        leaving.set(userId, timer.unref())
      }
    },

    /** Sets what others see; ONLINE follows the connections again. OFFLINE hides. */
    async set(viewerId: string, status: PresenceStatus, statusText: string | null | undefined): Promise<Presence> {
      const text = statusText ? await acceptText(viewerId, statusText) : null
      await orm
        .update(users)
        .set({
          presenceStatus: status === 'ONLINE' ? null : status,
          // To the others it looks as if they left now.
          ...(status === 'OFFLINE' ? { lastActiveAt: sql`now()` } : {}),
          // An absent text keeps what is there.
          ...(statusText === undefined ? {} : { presenceText: text }),
        })
        .where(eq(users.id, viewerId))
      announce.presence(viewerId)
      return (await look([viewerId])).get(viewerId)!
    },

    look,

    /** Who of these may see whom, as the keys of `pairKey`. */
    visible: (pairs: readonly { viewerId: string; userId: string }[]) => visiblePairs(database, pairs),

    /** Where these users stand, as the viewer may see it: OFFLINE where it is none of the viewer’s business. */
    async find(viewerId: string, userIds: readonly string[]): Promise<Map<string, Presence>> {
      const pairs = userIds.map((userId) => ({ viewerId, userId }))
      const [visible, seen] = await Promise.all([visiblePairs(database, pairs), look(userIds)])
      return new Map(pairs.map((pair) => [pair.userId, visible.has(pairKey(pair)) ? seen.get(pair.userId)! : unseen]))
    },

    async close(): Promise<void> {
      for (const timer of leaving.values()) clearTimeout(timer)
      leaving.clear()
      await registry.close()
    },
  }
}
