import type { Database } from '../../drizzle/connection.ts'
import { tableOf } from './bucket-time.ts'

/** Attachments of messages that retention is about to remove, by their owners. */
export type ExpiredAttachments = readonly { userId: string; attachmentIds: readonly string[] }[]

/**
 * Told of attachments before their messages are removed; it may be told of the same again, where a run is cut off.
 * Where it rejects, the messages stay for the next run.
 */
export type OnExpiredAttachments = (attachments: ExpiredAttachments) => Promise<void>

type Row = { author_id: string; attachment_ids: string[] }

const toExpired = (row: Row) => ({ userId: row.author_id, attachmentIds: row.attachment_ids })

/** Messages that one statement finds. */
const foundAtOnce = 1_000

/** Tells of what a channel's messages of a bucket have attached, between two seqs, both included. */
export async function tellAttachmentsBetween(
  database: Database,
  { channelId, bucket, from, to }: { channelId: string; bucket: number; from: number; to: number },
  tell: OnExpiredAttachments,
): Promise<void> {
  const rows = await database.run<Row>(
    `/* expired attachments */ select author_id, attachment_ids from ${tableOf(bucket)}
     where channel_id = $1 and seq between $2 and $3 and attachment_ids is not null`,
    [channelId, from, to],
  )
  if (rows.length > 0) await tell(rows.map(toExpired))
}

/** Tells of what all messages of a bucket have attached, whichever channel they are of; nothing where it is gone. */
export async function tellAttachmentsOf(database: Database, bucket: number, tell: OnExpiredAttachments): Promise<void> {
  const table = tableOf(bucket)
  const [found] = await database.run<{ there: boolean }>('select to_regclass($1) is not null as there', [table])
  if (!found!.there) return
  for (let channelId = '0', id = '0'; ; ) {
    const rows = await database.run<Row & { channel_id: string; id: string }>(
      `/* attachments of a bucket */ select channel_id, id, author_id, attachment_ids from ${table}
       where (channel_id, id) > ($1::bigint, $2::bigint) and attachment_ids is not null
       order by channel_id, id limit ${foundAtOnce}`,
      [channelId, id],
    )
    if (rows.length > 0) await tell(rows.map(toExpired))
    if (rows.length < foundAtOnce) return
    ;({ channel_id: channelId, id } = rows.at(-1)!)
  }
}
