import { and, eq, gt, sql } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { activeChannels } from '../../drizzle/tables/index.ts'
import { expectedFailure } from '../errors.ts'
import type { Viewer } from '../viewer.ts'
import { accessChannel } from './access.ts'
import type { Deps } from './deps.ts'
import type { TypingService } from './typing.ts'

/** Who is told of sockets: a sign-in that has one on this replica goes on showing what it shows. */
export type ActiveSessions = {
  opened(viewer: Viewer): void
  closed(viewer: Viewer): void
}

export type ActiveChannelsService = ReturnType<typeof createActiveChannelsService>

/**
 * How long it holds without being said again, in seconds. Twice the time between two renewals: one may fail. A replica
 * that dies takes its sockets along, and for so long nothing is pushed about the channels that they showed.
 */
const holdsSeconds = 120
const renewMs = 60_000

/** A store that was away for so long, in seconds, has let everything run out that sockets still show. */
const revivedSeconds = 300

/**
 * How long it holds after the last socket has closed, in seconds, as long as somebody counts as there: phones change
 * networks, and pages are loaded anew.
 */
const graceSeconds = 10

/** Sockets that open and close within this time are written of together. Milliseconds. */
const gatherMs = 1_000

/** Sign-ins of one statement: in a storm all sockets of a replica come within seconds. */
const maxAtOnce = 5_000

/**
 * Stands for the session of tokens that name none, those of an identity provider: all devices that a user is signed in
 * on by them are taken for one, which shows what the last of them has said.
 */
export const noSession = '0'

const sessionOf = ({ sessionId }: Pick<Viewer, 'sessionId'>): string => sessionId ?? noSession

/** Which channel is on the screen of each sign-in just now, for which it needs no push. */
export function createActiveChannelsService({ database }: Pick<Deps, 'database'>, typing: TypingService) {
  const { orm } = database
  /** Sockets of each sign-in on this replica. */
  const sockets = new Map<string, number>()
  const opened = new Set<string>()
  const closed = new Set<string>()
  let gathering: NodeJS.Timeout | null = null
  let isClosed = false
  const renewal = setInterval(() => void renew([...sockets.keys()]), renewMs)
  renewal.unref()

  /**
   * Makes these sign-ins' channels hold for so long from now on, in seconds, where they hold for longer than `least` as
   * it is. With the store away they run out by themselves.
   */
  async function hold(keys: readonly string[], seconds: number, least: number): Promise<void> {
    for (let from = 0; from < keys.length; from += maxAtOnce) {
      const some = keys.slice(from, from + maxAtOnce).map((key) => key.split(' '))
      // Each sign-in has a random id, so that two lists name the same rows as a list of pairs.
      const lists = [some.map(([userId]) => userId), some.map(([, sessionId]) => sessionId)]
      await database
        .run(
          `/* active channels */ update active_channels set until = now() + interval '${seconds} seconds'
           where user_id = any ($1::bigint[]) and session_id = any ($2::bigint[])
             and until > now() + interval '${least} seconds'`,
          lists,
        )
        .catch(() => {})
    }
  }

  const renew = (keys: readonly string[]) => hold(keys, holdsSeconds, -revivedSeconds)

  function gather() {
    if (isClosed) return
    gathering ??= setTimeout(() => void flush(), gatherMs).unref()
  }

  async function flush(): Promise<void> {
    gathering = null
    const [come, gone] = [[...opened], [...closed]]
    opened.clear()
    closed.clear()
    await Promise.all([renew(come), hold(gone, graceSeconds, graceSeconds)])
  }

  /** Nobody leaves a screen while typing on it. Who may no longer write there is not shown as typing anyway. */
  async function stopTyping(userId: string, channelId: string): Promise<void> {
    await typing.set(userId, channelId, false).catch((error: unknown) => {
      if (!['NOT_FOUND', 'FORBIDDEN'].includes(expectedFailure(error)?.code ?? '')) throw error
    })
  }

  return {
    /**
     * What the viewer's device shows from now on; null for none. It holds for two minutes, and as long as the sign-in
     * has a socket on some replica. Ends the viewer's typing in the channel that was shown before. Throws NOT_FOUND or
     * FORBIDDEN about a channel that the viewer may not read.
     */
    async set(viewer: Viewer, channelId: string | null): Promise<void> {
      const { userId } = viewer
      if (channelId !== null) await accessChannel(orm, userId, channelId, 'read')
      const own = and(eq(activeChannels.userId, userId), eq(activeChannels.sessionId, sessionOf(viewer)))
      const [before] = await orm
        .select({ channelId: activeChannels.channelId })
        .from(activeChannels)
        .where(and(own, gt(activeChannels.until, sql`now()`)))
      if (channelId === null) await orm.delete(activeChannels).where(own)
      else {
        const until = sql<Date>`now() + interval '${sql.raw(String(holdsSeconds))} seconds'`
        await orm
          .insert(activeChannels)
          .values({ userId, sessionId: sessionOf(viewer), channelId, until })
          .onConflictDoUpdate({
            target: [activeChannels.userId, activeChannels.sessionId],
            set: { channelId, until: sql`excluded.until` },
          })
      }
      if (before !== undefined && before.channelId !== channelId) await stopTyping(userId, before.channelId)
    },

    opened(viewer: Viewer): void {
      const key = `${viewer.userId} ${sessionOf(viewer)}`
      const count = sockets.get(key) ?? 0
      sockets.set(key, count + 1)
      if (count > 0) return
      // It may have closed on another replica, where it was said that it holds for a moment more.
      closed.delete(key)
      opened.add(key)
      gather()
    },

    closed(viewer: Viewer): void {
      const key = `${viewer.userId} ${sessionOf(viewer)}`
      const count = (sockets.get(key) ?? 0) - 1
      if (count > 0) return void sockets.set(key, count)
      if (!sockets.delete(key)) return
      opened.delete(key)
      closed.add(key)
      gather()
    },

    /** Writes what is left to write: for the end of the process, once its sockets are closed. */
    async close(): Promise<void> {
      isClosed = true
      clearInterval(renewal)
      clearTimeout(gathering ?? undefined)
      await flush()
    },
  }
}

/** Which of these users' sign-ins show a channel now, as `userId sessionId`; `noSession` where tokens name none. */
export async function activeIn(
  database: Pick<Database, 'run'>,
  channelId: string,
  userIds: readonly string[],
): Promise<Set<string>> {
  const rows = await database.run<{ user_id: string; session_id: string }>(
    `/* shown */ select user_id, session_id from active_channels
     where user_id = any ($2::bigint[]) and channel_id = $1 and until > now()`,
    [channelId, userIds],
  )
  return new Set(rows.map((row) => `${row.user_id} ${row.session_id}`))
}

/** Removes what has run out long ago: for the maintenance. Returns how many there were. */
export async function dropStaleActiveChannels(database: Pick<Database, 'run'>): Promise<number> {
  const gone = await database.run(
    `/* stale active channels */ delete from active_channels where until < now() - interval '1 hour' returning user_id`,
    [],
  )
  return gone.length
}
