import type { Database } from '../../drizzle/connection.ts'
import { expectedFailure } from '../errors.ts'
import { lockPair } from './blocks.ts'
import type { MembersService } from './members.ts'

/** Memberships that one statement lists. */
const listedAtOnce = 500

/**
 * Channels that are left at once: it is a transaction of each, most of which is waiting. A thousand took six seconds, and
 * half a minute on Citus.
 */
const leftAtOnce = 4

/**
 * So many that fail one after the other are not about one channel, or the one shard that some are on: the store is away.
 */
const mostFailures = 20

/** Does `work` for one channel after the other. What fails is passed over, and the first failure thrown in the end. */
function trying(signal: AbortSignal, work: (channelId: string) => Promise<unknown>) {
  const failures: unknown[] = []
  let inARow = 0
  return {
    async each(channelIds: Iterable<string>): Promise<void> {
      for (const channelId of channelIds) {
        signal.throwIfAborted()
        if (inARow >= mostFailures) return
        await work(channelId).then(
          () => (inARow = 0),
          (error: unknown) => {
            failures.push(error)
            inARow++
          },
        )
      }
    },
    /** Whether there is no use in going on. */
    isHopeless: () => inARow >= mostFailures,
    end() {
      if (failures.length > 0) throw failures[0]
    },
  }
}

/** The channels of these kinds that somebody is in, page by page, in the order of their ids. */
async function* channelsOf(database: Pick<Database, 'run'>, userId: string, isDirect: boolean): AsyncGenerator<string[]> {
  for (let after = '0'; ; ) {
    const rows = await database.run<{ channel_id: string }>(
      `/* channels of a deleted account */ select m.channel_id from members m
       join channels c on c.id = m.channel_id
       where m.user_id = $1 and m.left_at is null and m.channel_id > $2 and (c.kind = 'DIRECT') = $3
       order by m.channel_id limit ${listedAtOnce}`,
      [userId, after, isDirect],
    )
    if (rows.length > 0) yield rows.map((row) => row.channel_id)
    if (rows.length < listedAtOnce) return
    after = rows.at(-1)!.channel_id
  }
}

/**
 * Leaves every GROUP and PUBLIC channel as anybody leaves one: the others are told, and a channel that loses its owner
 * has another. Called again it goes on where it was. Throws once all were tried where one could not be left.
 */
export async function leaveChannels(
  database: Pick<Database, 'run'>,
  members: Pick<MembersService, 'leave'>,
  userId: string,
  signal: AbortSignal,
): Promise<void> {
  const leaving = trying(signal, (channelId) =>
    members.leave(userId, channelId).catch((error: unknown) => {
      // Somebody has put them out meanwhile, or another worker is at it.
      if (!['FORBIDDEN', 'NOT_FOUND'].includes(expectedFailure(error)?.code ?? '')) throw error
    }),
  )
  for await (const page of channelsOf(database, userId, false)) {
    const waiting = page.values()
    await Promise.all(Array.from({ length: leftAtOnce }, () => leaving.each(waiting)))
    if (leaving.isHopeless()) break
  }
  leaving.end()
}

/**
 * Shuts every DIRECT channel: the other one goes on reading, and nothing is added to it. Throws once all were tried where
 * one could not be shut.
 */
export async function shutDirectChannels(
  database: Pick<Database, 'run' | 'transaction'>,
  userId: string,
  signal: AbortSignal,
): Promise<void> {
  const shutting = trying(signal, async (channelId) => {
    const [peer] = await database.run<{ user_id: string }>(
      '/* peer */ select user_id from members where channel_id = $1 and user_id <> $2',
      [channelId, userId],
    )
    await database.transaction(async (tx) => {
      // Whoever takes back a block at this moment opens it first, or finds that nobody is there.
      if (peer !== undefined) await lockPair(tx, userId, peer.user_id)
      await tx.run(
        `/* shut */ update channels set shut = true, membership_version = membership_version + 1
         where id = $1 and not shut`,
        [channelId],
      )
    })
  })
  for await (const page of channelsOf(database, userId, true)) {
    await shutting.each(page)
    if (shutting.isHopeless()) break
  }
  shutting.end()
}
