import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { and, eq } from 'drizzle-orm'
import { attachments } from '../../drizzle/tables/index.ts'
import { badInput, conflict, expectedFailure, MaruError, notFound, unavailable } from '../errors.ts'
import type { SignedDownload, SignedUpload } from '../files/files.ts'
import type { NewJob } from '../jobs/jobs.ts'
import { essenceOf, isDisguised, isMedia, isOnList, sniffedBytes } from '../lib/file-types.ts'
import { isOneOf } from '../lib/sql.ts'
import { checkName } from '../lib/text.ts'
import { snowflakeAt, snowflakeTime } from '../message-store/snowflake.ts'
import { createAttachmentClaims } from './attachments-claims.ts'
import { createAttachmentMedia } from './attachments-media.ts'
import { createAttachmentRemoval } from './attachments-removal.ts'
import { type AttachmentFailure, type AttachmentKey, type AttachmentRow, type Thumbnail, uploadKey } from './attachments-rows.ts'
import type { Deps } from './deps.ts'

export type UploadInput = { filename: string; contentType: string; byteSize: number }

export type UploadTarget = SignedUpload & { attachment: AttachmentRow; expiresAt: Date }

export type AttachmentsService = ReturnType<typeof createAttachmentsService>

const hourMs = 3_600_000

/** How long an upload may take to begin. Milliseconds. */
const uploadAddressMs = hourMs

/** An upload that was begun while its address was good ends within this. Milliseconds. */
const lateUploadMs = hourMs

/** Uploads of one person that have been begun and not completed within a day, after which they are swept. */
const maxPending = 100

/** Files of one person that are part of nothing, in all and in times the largest there may be; a week later they go. */
const maxLoose = 500
const maxLooseTimes = 20

/** Code points of a file's name. */
const maxFilename = 255

/** Signs that turn the direction of what follows: `exe.gpj` would be read as `jpg.exe`. */
const misleading = /[\p{Bidi_Control}/\\]/gu

/** How long somebody who completes an upload has it for themselves; the storage's deadlines are shorter. Seconds. */
const completionSeconds = 180

/** Files that people bring: from where they are put to where they are shown. */
export function createAttachmentsService(deps: Deps) {
  const { database, snowflakes, files, jobs, limits } = deps
  const { orm } = database
  const own = ({ userId, id }: AttachmentKey) => and(eq(attachments.userId, userId), eq(attachments.id, id))

  async function find(key: AttachmentKey): Promise<AttachmentRow | null> {
    const [row] = await orm.select().from(attachments).where(own(key))
    return row ?? null
  }

  /**
   * Refuses more uploads than anybody has under way, or keeps for later. Only as far back is looked as there is
   * anything: what is older is swept.
   */
  async function checkLoose(userId: string): Promise<void> {
    const [day, week] = [1, 7].map((days) => snowflakeAt(Date.now() - days * 24 * hourMs))
    const [row] = await database.run<{ pending: number; loose: number; bytes: number }>(
      `/* loose attachments */ select count(*) filter (where status = 'PENDING' and id > $3)::int as pending,
         count(*)::int as loose, coalesce(sum(byte_size) filter (where status <> 'FAILED'), 0)::float8 as bytes
       from attachments where user_id = $1 and id > $2 and claimed_at is null`,
      [userId, week, day],
    )
    const { pending, loose, bytes } = row!
    const refusal = (message: string) => new MaruError('RATE_LIMITED', message, { retryAfterMs: 60_000 })
    if (pending >= maxPending) throw refusal('Complete the uploads that you have begun first.')
    if (loose >= maxLoose || bytes >= maxLooseTimes * limits.uploadBytes) {
      throw refusal('Send the files that you have uploaded first; what is sent nowhere goes after a week.')
    }
  }

  /**
   * Takes an upload in hand to complete it: gives it a place of its own, which nobody else is told of. Null where
   * somebody else is at it.
   */
  async function takeInHand({ userId, id }: AttachmentKey): Promise<string | null> {
    const place = `files/${userId}/${id}/${randomBytes(9).toString('base64url')}`
    const rows = await database.run(
      `/* take upload */ update attachments set key = $3, completed_at = now()
       where user_id = $1 and id = $2 and status = 'PENDING'
         and (key is null or completed_at < now() - interval '${completionSeconds} seconds') returning id`,
      [userId, id, place],
    )
    return rows.length > 0 ? place : null
  }

  /** Lets the next one complete it at once; a file that is in its place already is found there. */
  const letGo = ({ userId, id }: AttachmentKey, place: string) =>
    database.run(
      `/* let go of upload */ update attachments set completed_at = to_timestamp(0)
       where user_id = $1 and id = $2 and status = 'PENDING' and key = $3`,
      [userId, id, place],
    )

  /** Brings what was uploaded to its place: from where the client has put it, or from where a broken-off attempt has. */
  async function bring(row: AttachmentRow, place: string): Promise<boolean> {
    for (const from of [uploadKey(row), row.key]) {
      if (from === null) continue
      try {
        await files.move(from, place)
        return true
      } catch (error) {
        if (expectedFailure(error)?.code !== 'NOT_FOUND') throw error
      }
    }
    return false
  }

  /** What is wrong with what was uploaded; null where it is what it was said to be. */
  async function inspect({ byteSize, contentType }: AttachmentRow, place: string): Promise<AttachmentFailure | null> {
    const found = await files.head(place)
    if (found?.byteSize !== byteSize) return 'BROKEN'
    const start = await buffer(await files.read(place, { start: 0, end: sniffedBytes - 1 }))
    return (await isDisguised(start, contentType)) ? 'DISGUISED' : null
  }

  /** Writes down what came of an upload, with the jobs that follow. Null where somebody else has. */
  function settle(row: AttachmentRow, place: string, failure: AttachmentFailure | null): Promise<AttachmentRow | null> {
    const { userId, id } = row
    const status = failure !== null ? 'FAILED' : isMedia(row.contentType) ? 'PROCESSING' : 'READY'
    // Until then somebody may put something there again, which nothing will ask for.
    const startAfter = new Date(+row.createdAt + uploadAddressMs + lateUploadMs)
    // An attempt that was cut off in its midst may have left a copy in its place.
    const left = [uploadKey(row), ...(row.key === null ? [] : [row.key])]
    const clear: NewJob = { kind: 'files-remove', data: { keys: left }, startAfter }
    const next: NewJob[] =
      failure !== null
        ? [{ kind: 'files-remove', data: { keys: [place] } }]
        : status === 'PROCESSING'
          ? [{ kind: 'media', data: { userId, attachmentId: id } }]
          : []
    return database.transaction(async (tx) => {
      const [settled] = await tx.orm
        .update(attachments)
        .set({ status, failure, completedAt: new Date(), ...(failure === null ? {} : { key: null }) })
        .where(and(own(row), eq(attachments.status, 'PENDING'), eq(attachments.key, place)))
        .returning()
      if (settled !== undefined) await jobs.add(tx, [...next, clear])
      return settled ?? null
    })
  }

  /** What came of an upload that somebody else is completing. */
  async function outcomeOf(key: AttachmentKey): Promise<AttachmentRow> {
    for (let waited = 0; waited < 40; waited++) {
      const row = await find(key)
      if (row === null) throw notFound('attachment', 'attachmentId')
      if (row.status !== 'PENDING') return row
      await sleep(250)
    }
    throw unavailable(new Error('an upload is being completed elsewhere'))
  }

  const { resume, ...media } = createAttachmentMedia(deps)
  const { sweep, ...removal } = createAttachmentRemoval(deps)

  return {
    ...createAttachmentClaims(deps),
    ...media,
    ...removal,

    /** Looks after what was left lying: see `resume` and `sweep`. Returns how many attachments went. */
    async sweep(): Promise<number> {
      await resume()
      return sweep()
    },

    /** Says where a file may be put. Throws BAD_USER_INPUT for what may not be attached, and RATE_LIMITED. */
    async createUpload(viewerId: string, input: UploadInput): Promise<UploadTarget> {
      const filename = checkName(input.filename, 'A file name', 'input.filename', maxFilename).replaceAll(misleading, '_')
      const contentType = essenceOf(input.contentType)
      if (contentType === null) throw badInput('This is no content type.', 'input.contentType')
      if (!isOnList(contentType, limits.uploadTypes)) throw badInput('Files of this type are not taken here.', 'input.contentType')
      const { byteSize } = input
      if (byteSize < 1) throw badInput('An empty file is none.', 'input.byteSize')
      if (byteSize > limits.uploadBytes) {
        throw badInput(`A file may have at most ${limits.uploadBytes.toLocaleString('en')} bytes.`, 'input.byteSize')
      }
      await checkLoose(viewerId)
      const id = snowflakes.next()
      const createdAt = snowflakeTime(id)
      const expiresAt = new Date(+createdAt + uploadAddressMs)
      const place = await files.signUpload({ key: uploadKey({ userId: viewerId, id }), contentType, byteSize, expiresAt })
      const [attachment] = await orm
        .insert(attachments)
        .values({ userId: viewerId, id, filename, contentType, byteSize, createdAt })
        .returning()
      return { ...place, attachment: attachment!, expiresAt }
    },

    /**
     * Takes over what was uploaded; calling it again changes nothing. What is not what it was said to be ends as FAILED.
     * Throws NOT_FOUND where the viewer has no such attachment, CONFLICT where nothing has been uploaded yet.
     */
    async completeUpload(viewerId: string, key: AttachmentKey): Promise<AttachmentRow> {
      const row = key.userId === viewerId ? await find(key) : null
      if (row === null) throw notFound('attachment', 'attachmentId')
      if (row.status !== 'PENDING') return row
      const place = await takeInHand(row)
      if (place === null) return outcomeOf(row)
      try {
        // First moved, then looked at: whoever holds the upload address could change it in between.
        if (!(await bring(row, place))) throw conflict('Nothing has been uploaded yet.', 'attachmentId')
        const settled = await settle(row, place, await inspect(row, place))
        if (settled !== null) return settled
      } catch (error) {
        await letGo(row, place).catch(() => {})
        throw error
      }
      await files.remove([place])
      return await outcomeOf(row)
    },

    /** Those of these that there are, in no order. Permission is the caller's affair. */
    async findMany(keys: readonly AttachmentKey[]): Promise<AttachmentRow[]> {
      const wanted = new Set(keys.map(({ userId, id }) => `${userId} ${id}`))
      const rows = await orm
        .select()
        .from(attachments)
        .where(and(isOneOf(attachments.userId, [...new Set(keys.map(({ userId }) => userId))]), isOneOf(attachments.id, keys.map(({ id }) => id))))
      return rows.filter(({ userId, id }) => wanted.has(`${userId} ${id}`))
    },

    /**
     * Where a file can be fetched, by whoever is told; null until it may be: of pictures, videos and sounds when what
     * they say of where and when they were made has been taken out of them. Whatever else there is is saved, not shown.
     */
    async address(row: AttachmentRow): Promise<SignedDownload | null> {
      const { status, key, contentType, filename } = row
      if (status !== 'READY' || key === null) return null
      return files.signDownload({ key, contentType, filename: isMedia(contentType) ? null : filename })
    },

    /** Where a picture's smaller form can be fetched. */
    thumbnailAddress: ({ key, contentType }: Thumbnail): Promise<SignedDownload> =>
      files.signDownload({ key, contentType, filename: null }),
  }
}
