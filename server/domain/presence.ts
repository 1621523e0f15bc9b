import { and, eq, sql } from 'drizzle-orm'
import { users } from '../../drizzle/tables/index.ts'
import { isOneOf } from '../lib/sql.ts'
import { checkText } from '../lib/text.ts'
import type { Deps } from './deps.ts'

export type PresenceStatus = 'ONLINE' | 'AWAY' | 'DO_NOT_DISTURB' | 'OFFLINE'
export type Presence = { status: PresenceStatus; statusText: string | null; lastActiveAt: Date | null }

export type PresenceService = ReturnType<typeof createPresenceService>

/** How long somebody whose last connection broke still counts as there: phones change networks. Milliseconds. */
export const presenceGraceMs = 10_000

const maxStatusText = 100

const offline: Presence = { status: 'OFFLINE', statusText: null, lastActiveAt: null }

/** Who is there. Connections are counted where they are held; what users chose to show is in the store. */
export function createPresenceService({ database, announce }: Deps, options = { graceMs: presenceGraceMs }) {
  const { orm } = database
  const connections = new Map<string, number>()
  const leaving = new Map<string, NodeJS.Timeout>()

  async function leave(userId: string) {
    leaving.delete(userId)
    connections.delete(userId)
    // Who hides is not given away by when they were last there.
    const isSeen = sql`${users.presenceStatus} is distinct from 'OFFLINE'`
    await orm.update(users).set({ lastActiveAt: sql`now()` }).where(and(eq(users.id, userId), isSeen))
    announce.presence(userId)
  }

  return {
    /** Counts a connection of a user; returns what ends it. */
    connect(userId: string): () => void {
      const before = connections.get(userId) ?? 0
      connections.set(userId, before + 1)
      clearTimeout(leaving.get(userId))
      if (!leaving.delete(userId) && before === 0) announce.presence(userId)
      let open = true
      return () => {
        if (!open) return
        open = false
        const left = connections.get(userId)! - 1
        connections.set(userId, left)
        if (left > 0) return
        const timer = setTimeout(() => {
          // With the store away the time of the last visit is lost, and nothing else.
          leave(userId).catch(() => announce.presence(userId))
        }, options.graceMs)
        leaving.set(userId, timer.unref())
      }
    },

    /** Sets what others see; ONLINE follows the connections again. OFFLINE hides. */
    async set(viewerId: string, status: PresenceStatus, statusText: string | null | undefined): Promise<Presence> {
      const text = statusText ? checkText(statusText, 'A status', 'statusText', maxStatusText) : null
      await orm
        .update(users)
        .set({
          presenceStatus: status === 'ONLINE' ? null : status,
          // To the others it looks as if they left now.
          ...(status === 'OFFLINE' ? { lastActiveAt: new Date() } : {}),
          // An absent text keeps what is there.
          ...(statusText === undefined ? {} : { presenceText: text }),
        })
        .where(eq(users.id, viewerId))
      announce.presence(viewerId)
      return (await this.find(viewerId, [viewerId])).get(viewerId)!
    },

    /** Where these users stand, as the viewer may see it: OFFLINE for those with whom the viewer shares no channel. */
    async find(viewerId: string, userIds: readonly string[]): Promise<Map<string, Presence>> {
      const visible = await visibleTo(viewerId, userIds)
      const rows =
        visible.size === 0
          ? []
          : await orm
              .select({
                id: users.id,
                status: users.presenceStatus,
                statusText: users.presenceText,
                lastActiveAt: users.lastActiveAt,
              })
              .from(users)
              .where(isOneOf(users.id, [...visible]))
      const known = new Map(
        rows.map((row): [string, Presence] => {
          const connected = connections.has(row.id)
          const status = connected ? (row.status ?? 'ONLINE') : 'OFFLINE'
          const lastActiveAt = status === 'OFFLINE' ? row.lastActiveAt : new Date()
          return [row.id, { status, statusText: row.statusText, lastActiveAt }]
        }),
      )
      return new Map(userIds.map((id) => [id, known.get(id) ?? offline]))
    },

    close() {
      for (const timer of leaving.values()) clearTimeout(timer)
    },
  }

  async function visibleTo(viewerId: string, userIds: readonly string[]): Promise<Set<string>> {
    const others = userIds.filter((id) => id !== viewerId)
    const rows =
      others.length === 0
        ? []
        : await database.run<{ user_id: string }>(
            `/* who shares a channel */ select distinct theirs.user_id from members own
             join members theirs on theirs.channel_id = own.channel_id and theirs.user_id = any ($2::bigint[])
               and theirs.left_at is null
             where own.user_id = $1 and own.left_at is null`,
            [viewerId, `{${others.join(',')}}`],
          )
    const visible = new Set(rows.map((row) => row.user_id))
    if (others.length < userIds.length) visible.add(viewerId)
    return visible
  }
}
