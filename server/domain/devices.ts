import { createHash } from 'node:crypto'
import { and, asc, eq, ne } from 'drizzle-orm'
import type { Database, Orm } from '../../drizzle/connection.ts'
import { activeChannels, devices, sessions } from '../../drizzle/tables/index.ts'
import { unauthenticated } from '../errors.ts'
import { checkPushToken } from '../push/push-tokens.ts'
import { isOneOf } from '../lib/sql.ts'
import type { Viewer } from '../viewer.ts'
import type { Deps } from './deps.ts'
import { checkLocale } from './settings.ts'

export type DeviceRow = typeof devices.$inferSelect

export type DeviceInput = {
  platform: DeviceRow['platform']
  token: string
  appId?: string | null
  sandbox?: boolean | null
  locale?: string | null
}

export type DevicesService = ReturnType<typeof createDevicesService>

/** Phones, tablets and browsers of one person. What is beyond is no longer in use, or somebody's attempt. */
const maxDevices = 20

/** Where users' pushes go. `webPushKey` is what browsers subscribe with; null where there is no Web Push. */
export function createDevicesService(
  { database, snowflakes }: Pick<Deps, 'database' | 'snowflakes'>,
  options: { webPushKey: string | null },
) {
  const { orm } = database
  return {
    webPushKey: options.webPushKey,

    /**
     * Registers the device that asks, or says again what is known of it. Its token is in one place only: taken from
     * whoever was signed in on the device before, so that nothing of theirs is shown there. The oldest devices make
     * room. Throws BAD_USER_INPUT, and UNAUTHENTICATED where the viewer has signed out meanwhile.
     */
    async register(viewer: Viewer, input: DeviceInput): Promise<DeviceRow> {
      const { platform } = input
      const appId = input.appId ?? null
      const token = checkPushToken(platform, input.token, appId)
      const locale = input.locale == null ? null : checkLocale(input.locale, 'input.locale')
      const { userId, sessionId } = viewer
      const tokenHash = hashOf(platform, appId, token)
      return database.transaction(async (tx) => {
        if (sessionId !== null) await holdSession(tx.orm, userId, sessionId)
        // Of two users who register it at once, the one takes it from the other: neither sees what is not committed.
        await tx.run('/* token */ select pg_advisory_xact_lock(hashtextextended($1, 0))', [`device ${tokenHash}`])
        await tx.orm.delete(devices).where(and(eq(devices.tokenHash, tokenHash), ne(devices.userId, userId)))
        const set = { token, sandbox: input.sandbox ?? false, locale, sessionId }
        const [device] = await tx.orm
          .insert(devices)
          .values({ userId, id: snowflakes.next(), platform, tokenHash, appId, createdAt: new Date(), ...set })
          .onConflictDoUpdate({ target: [devices.userId, devices.tokenHash], set })
          .returning()
        const all = await tx.orm
          .select({ id: devices.id })
          .from(devices)
          .where(eq(devices.userId, userId))
          .orderBy(asc(devices.createdAt), asc(devices.id))
        const excess = all.map(({ id }) => id).slice(0, Math.max(0, all.length - maxDevices))
        const gone = excess.filter((id) => id !== device!.id)
        const own = eq(devices.userId, userId)
        if (gone.length > 0) await tx.orm.delete(devices).where(and(own, isOneOf(devices.id, gone)))
        return device!
      })
    },

    /** Forgets one of the viewer's devices; false where it is none of them. */
    unregister: (viewerId: string, deviceId: string): Promise<boolean> => dropDevice(database, viewerId, deviceId),

    /** The viewer's devices, the latest first. */
    async list(viewerId: string): Promise<DeviceRow[]> {
      const rows = await orm.select().from(devices).where(eq(devices.userId, viewerId)).orderBy(asc(devices.createdAt))
      return rows.toReversed()
    },

    /** Those of the viewer's devices that have these ids. */
    findMany: (viewerId: string, deviceIds: readonly string[]): Promise<DeviceRow[]> =>
      orm.select().from(devices).where(and(eq(devices.userId, viewerId), isOneOf(devices.id, deviceIds))),
  }
}

/** Throws UNAUTHENTICATED where the session has ended; otherwise it cannot end before the transaction is over. */
async function holdSession(orm: Orm, userId: string, sessionId: string): Promise<void> {
  const [session] = await orm
    .select({ revokedAt: sessions.revokedAt })
    .from(sessions)
    .where(and(eq(sessions.userId, userId), eq(sessions.id, sessionId)))
    .for('share')
  if (session === undefined || session.revokedAt !== null) throw unauthenticated('Sign in again.')
}

/** The first half of a SHA-256, in the form of a UUID, which is what the store has for 128 bits. */
function hashOf(platform: string, appId: string | null, token: string): string {
  const hex = createHash('sha256').update(JSON.stringify([platform, appId, token])).digest('hex')
  return hex.slice(0, 32).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** The devices of these users, by user; who has none is left out. One statement. */
export async function devicesOf(
  database: Pick<Database, 'orm'>,
  userIds: readonly string[],
): Promise<Map<string, DeviceRow[]>> {
  const rows = await database.orm.select().from(devices).where(isOneOf(devices.userId, userIds))
  return Map.groupBy(rows, (device) => device.userId)
}

/** Forgets a device, for its owner or because its provider has declared the token dead; false where it is gone. */
export async function dropDevice(database: Pick<Database, 'orm'>, userId: string, deviceId: string): Promise<boolean> {
  const gone = await database.orm
    .delete(devices)
    .where(and(eq(devices.userId, userId), eq(devices.id, deviceId)))
    .returning({ id: devices.id })
  return gone.length > 0
}

/** A sign-in ends, within this transaction: what it has registered and shows goes along. */
export async function dropDevicesOfSession(orm: Orm, userId: string, sessionId: string): Promise<void> {
  await orm.delete(devices).where(and(eq(devices.userId, userId), eq(devices.sessionId, sessionId)))
  const shown = and(eq(activeChannels.userId, userId), eq(activeChannels.sessionId, sessionId))
  await orm.delete(activeChannels).where(shown)
}

/** An account ends, within this transaction: nothing is pushed to it any more. */
export async function dropDevicesOfAccount(orm: Orm, userId: string): Promise<void> {
  await orm.delete(devices).where(eq(devices.userId, userId))
  await orm.delete(activeChannels).where(eq(activeChannels.userId, userId))
}

/**
 * Forgets the devices of sessions that have run out, which nobody ends. Looks at all devices that there are: for the
 * maintenance, before sessions of long ago are removed or after. Returns how many there were.
 */
export async function dropDevicesOfEndedSessions(database: Pick<Database, 'run'>): Promise<number> {
  const gone = await database.run(
    `/* devices of ended sessions */ delete from devices d
     where d.session_id is not null and not exists (
       select from sessions s
       where s.user_id = d.user_id and s.id = d.session_id and s.revoked_at is null and s.expires_at > now()
     )
     returning d.id`,
    [],
  )
  return gone.length
}
