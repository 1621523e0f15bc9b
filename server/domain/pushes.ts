import type { Transaction } from '../../drizzle/connection.ts'
import type { JobAdder, NewJob } from '../jobs/jobs.ts'

/** Who reads on reads more in a moment: until then the number on other devices' icons may wait. Milliseconds. */
const badgeAfterMs = 3_000

/**
 * Has what the user's devices show of a channel up to a seq taken off their screens, and the number on their icons
 * corrected; where they show nothing, nothing is done.
 */
export async function takeBackRead(
  tx: Transaction,
  jobs: JobAdder,
  read: { userId: string; channelId: string; seq: number },
): Promise<void> {
  const [shown] = await tx.run<{ notice: boolean; badge: boolean }>(
    `/* pushed */ select
       exists (
         select from push_deliveries where user_id = $1 and channel_id = $2 and seq <= $3
           and status in ('SENT', 'PENDING', 'SUMMARISED')
       ) as notice,
       exists (select from devices where user_id = $1 and badge > 0) as badge`,
    [read.userId, read.channelId, read.seq],
  )
  const { userId } = read
  if (shown!.notice) await jobs.add(tx, [{ kind: 'push-read', data: read }])
  else if (shown!.badge) {
    const startAfter = new Date(Date.now() + badgeAfterMs)
    await jobs.add(tx, [{ kind: 'push-badge', data: { userId }, key: userId, startAfter }])
  }
}

/** Has a message that is being deleted taken off the screens that it was pushed to. */
export const takeBackDeleted = (
  tx: Transaction,
  jobs: JobAdder,
  message: { channelId: string; id: string },
): Promise<void> =>
  jobs.add(tx, [{ kind: 'push-withdraw', data: { channelId: message.channelId, messageIds: [message.id] } }])

/**
 * The same jobs of messages that have disappeared, with those that take them off screens as one for each channel: who
 * shows them is looked for once.
 */
export function joinTakeBacks(jobs: readonly NewJob[]): NewJob[] {
  const others = jobs.filter(({ kind }) => kind !== 'push-withdraw')
  const takeBacks = jobs.filter((job) => job.kind === 'push-withdraw')
  const byChannel = Map.groupBy(takeBacks, ({ data }) => data.channelId)
  const joined = Array.from(byChannel, ([channelId, some]): NewJob => ({
    kind: 'push-withdraw',
    data: { channelId, messageIds: some.flatMap(({ data }) => data.messageIds), areExpired: true },
  }))
  return [...others, ...joined]
}
