import { eq } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import { users } from '../../drizzle/tables/index.ts'
import type { JobAdder, JobData, NewJob } from '../jobs/jobs.ts'
import { chunksOf } from '../lib/chunks.ts'
import { readMessages } from '../message-store/pages.ts'
import { findOwnMessages } from './data-exports-messages.ts'
import type { Deps } from './deps.ts'
import { makeTombstone } from './messages.ts'
import { joinTakeBacks } from './pushes.ts'

/** Channels that one statement lists. */
const channelsAtOnce = 500

/**
 * Messages that are emptied at once, while their channel is locked: a tenth of a second in which nobody else writes to
 * it, as with those that disappear.
 */
const emptiedAtOnce = 50

/** How long one job works on a channel before it makes another of the rest, so that a restart repeats little. Milliseconds. */
const partMs = 30_000

export type AccountMessagesService = ReturnType<typeof createAccountMessagesService>

/** Every channel that somebody is or was in, page by page: what they have said is there and nowhere else. */
export async function* formerChannels(database: Pick<Database, 'run'>, userId: string): AsyncGenerator<string[]> {
  for (let after = '0'; ; ) {
    // Two indexes, one for each half.
    const rows = await database.run<{ channel_id: string }>(
      `/* channels now and before */ select channel_id from (
         select channel_id from members where user_id = $1 and left_at is null and channel_id > $2
         union all
         select channel_id from members where user_id = $1 and left_at is not null and channel_id > $2
       ) known order by channel_id limit ${channelsAtOnce}`,
      [userId, after],
    )
    if (rows.length > 0) yield rows.map((row) => row.channel_id)
    if (rows.length < channelsAtOnce) return
    after = rows.at(-1)!.channel_id
  }
}

/** Empties what a deleted account has said, where its owner wanted that. `part`: for tests that cannot wait; milliseconds. */
export function createAccountMessagesService({ database, store, announce, jobs }: Deps, part = partMs) {
  async function empty(channelId: string, messageIds: readonly string[]): Promise<void> {
    const done = await store.change(channelId, async (channel) => {
      const found = await readMessages(channel.tx, messageIds.map((messageId) => ({ channelId, messageId })))
      const toDo: NewJob[] = []
      const noting: JobAdder = { add: async (_, more) => void toDo.push(...more) }
      for (const message of found.toSorted((a, b) => a.seq - b.seq)) {
        if (message.deletedAt === null) await makeTombstone(channel, message, noting)
      }
      await jobs.add(channel.tx, joinTakeBacks(toDo))
    })
    if (done !== null) announce.channel(done.changes)
  }

  return {
    /**
     * Empties what somebody who was deleted has said in a channel, from the oldest on, for the job that says so; what is
     * not done within half a minute is left to another. They stay in their places as tombstones, as if deleted one by one.
     */
    async remove(
      { userId, channelId, after }: JobData['account-messages'],
      maintenance: Pick<Database, 'run'>,
      signal: AbortSignal,
    ): Promise<void> {
      const [user] = await database.orm.select().from(users).where(eq(users.id, userId))
      if (user === undefined || user.deletedAt === null) return
      const began = performance.now()
      for await (const { own, reached } of findOwnMessages(maintenance, channelId, userId, after)) {
        for (const some of chunksOf(own.map(({ id }) => id), emptiedAtOnce)) {
          signal.throwIfAborted()
          await empty(channelId, some)
          if (performance.now() - began > part) return goOn(some.at(-1)!)
        }
        if (performance.now() - began > part) return goOn(reached)
      }

      async function goOn(from: string): Promise<void> {
        await database.transaction((tx) =>
          jobs.add(tx, [{ kind: 'account-messages', data: { userId, channelId, after: from } }]),
        )
      }
    },
  }
}
