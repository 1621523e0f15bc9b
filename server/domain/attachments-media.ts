import { and, eq } from 'drizzle-orm'
import { attachments } from '../../drizzle/tables/index.ts'
import { readMessage } from '../message-store/pages.ts'
import { createAttachmentClaims } from './attachments-claims.ts'
import { type AttachmentFailure, type AttachmentRow, type Thumbnail, thumbnailsOf } from './attachments-rows.ts'
import type { Deps } from './deps.ts'

/** What was made of a picture, a video or a sound: `key` is what is served from now on. */
export type Finished = {
  key: string
  contentType: string
  byteSize: number
  width: number | null
  height: number | null
  placeholder: string | null
  durationMs: number | null
  waveform: string | null
  thumbnails: readonly Thumbnail[]
}

/** The job is tried again for a day. By then it has been done or laid aside, or there is no job any more. */
const givenUpAfter = `interval '30 hours'`

/** An upload takes two hours at the most, and its turn may take another. */
const missedAfter = `interval '3 hours'`

/** Rows that one round looks at. */
const resumedAtOnce = 200

/**
 * The part of attachments that the media job sees. It runs at least once, so each of these may be called again; the
 * message is told after what it shows has been written, and a job that was cut off in between tells it when it runs again.
 */
export function createAttachmentMedia(deps: Deps) {
  const { database, store, announce, jobs } = deps
  const { messageOf } = createAttachmentClaims(deps)

  /**
   * Tells the message that has the attachment, if there is one. One that is being sent at this moment is not there yet,
   * and will be told of with what has been written before.
   */
  async function tell(row: AttachmentRow): Promise<void> {
    const message = await messageOf(row)
    if (message === null) return
    const done = await store.change(message.channelId, async (channel) => {
      const now = await readMessage(channel.tx, { channelId: message.channelId, messageId: message.id })
      if (now === null || now.deletedAt !== null || now.seq < channel.row.firstSeq) return
      await channel.touchMessage(message.id, 'ENRICHED', {})
    })
    if (done !== null) announce.channel(done.changes)
  }

  const one = (userId: string, id: string) => and(eq(attachments.userId, userId), eq(attachments.id, id))

  /**
   * Writes what came of an upload that is being processed. With it goes what was uploaded, where something else is
   * served from now on: it may say where a picture was taken, and must not outlive this process's death.
   */
  async function write(userId: string, id: string, set: Partial<AttachmentRow> & Pick<AttachmentRow, 'key'>) {
    const written = await database.transaction(async (tx) => {
      const [former] = await tx.orm.select().from(attachments).where(one(userId, id)).for('update')
      if (former?.status !== 'PROCESSING') return null
      const [row] = await tx.orm.update(attachments).set(set).where(one(userId, id)).returning()
      if (former.key !== null && former.key !== set.key) {
        await jobs.add(tx, [{ kind: 'files-remove', data: { keys: [former.key] } }])
      }
      return row!
    })
    if (written !== null) await tell(written)
    return written !== null
  }

  /** Adds the job, unless somebody has within as long, which `completed_at` tells. */
  const addAgain = (userId: string, attachmentId: string) =>
    database.transaction(async (tx) => {
      const rows = await tx.run(
        `/* resume attachment */ update attachments set completed_at = now()
         where user_id = $1 and id = $2 and status = 'PROCESSING' and completed_at < now() - ${missedAfter} returning id`,
        [userId, attachmentId],
      )
      if (rows.length > 0) await jobs.add(tx, [{ kind: 'media', data: { userId, attachmentId } }])
    })

  /** Notes why nothing can be made of an upload, and tells its message. */
  async function fail(userId: string, id: string, failure: AttachmentFailure): Promise<void> {
    await write(userId, id, { status: 'FAILED', failure, key: null })
  }

  return {
    fail,

    /**
     * Adds the job anew to what has waited for it for long, as it may be lost, and gives up what nothing has come of for
     * more than a day. Any number of processes may do it.
     */
    async resume(): Promise<void> {
      const rows = await database.run<{ user_id: string; id: string; over: boolean }>(
        `/* attachments in processing */ select user_id, id, created_at < now() - ${givenUpAfter} as over from attachments
         where status = 'PROCESSING' and created_at < now() - ${missedAfter} order by created_at limit ${resumedAtOnce}`,
        [],
      )
      for (const { user_id: userId, id, over } of rows) {
        if (over) await fail(userId, id, 'TIMED_OUT')
        else await addAgain(userId, id)
      }
    },

    /** What is to be processed; null where nothing is: it is done, or gone. */
    async begin(
      userId: string,
      id: string,
    ): Promise<Pick<AttachmentRow, 'contentType' | 'byteSize' | 'filename'> & { key: string } | null> {
      const [row] = await database.orm.select().from(attachments).where(one(userId, id))
      if (row === undefined) return null
      const { status, key, contentType, byteSize, filename } = row
      if (status === 'PROCESSING' && key !== null) return { key, contentType, byteSize, filename }
      // The job before may have ended before it could tell.
      await tell(row)
      return null
    },

    /**
     * Writes what was made of an upload, and tells its message. Returns all keys that the attachment has then: others
     * than these where another run of the job was done before, none where it is gone or has failed.
     */
    async finish(userId: string, id: string, made: Finished): Promise<readonly string[]> {
      const { thumbnails, ...rest } = made
      await write(userId, id, { ...rest, status: 'READY', thumbnails: JSON.stringify(thumbnails) })
      const [row] = await database.orm.select().from(attachments).where(one(userId, id))
      return row?.status === 'READY' ? [row.key!, ...thumbnailsOf(row).map(({ key }) => key)] : []
    },
  }
}
