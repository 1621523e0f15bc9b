import type { Transaction } from '../../drizzle/connection.ts'
import type { JobAdder } from '../jobs/jobs.ts'

/** Has what the user's devices show of a channel up to a seq taken off their screens, if they show anything. */
export async function takeBackRead(
  tx: Transaction,
  jobs: JobAdder,
  read: { userId: string; channelId: string; seq: number },
): Promise<void> {
  const shown = await tx.run(
    `/* pushed */ select from push_deliveries
     where user_id = $1 and channel_id = $2 and seq <= $3 and status = 'SENT' limit 1`,
    [read.userId, read.channelId, read.seq],
  )
  if (shown.length > 0) await jobs.add(tx, [{ kind: 'push-read', data: read }])
}

/** Has a message that is being deleted taken off the screens that it was pushed to. */
export const takeBackDeleted = (
  tx: Transaction,
  jobs: JobAdder,
  message: { channelId: string; id: string },
): Promise<void> =>
  jobs.add(tx, [{ kind: 'push-withdraw', data: { channelId: message.channelId, messageId: message.id } }])
