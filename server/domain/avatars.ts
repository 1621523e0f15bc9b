import { and, eq } from 'drizzle-orm'
import type { Transaction } from '../../drizzle/connection.ts'
import { attachments, users } from '../../drizzle/tables/index.ts'
import { badInput, conflict, unauthenticated } from '../errors.ts'
import type { Files } from '../files/files.ts'
import type { JobAdder } from '../jobs/jobs.ts'
import { isMedia } from '../lib/file-types.ts'
import { abandonAttachments } from './attachments-removal.ts'
import { type AttachmentKey, type AttachmentRow, type Thumbnail, thumbnailsOf } from './attachments-rows.ts'

const field = 'input.avatarAttachmentId'

type Avatar = Pick<typeof users.$inferSelect, 'avatarUrl' | 'avatarKey'>

/** The square that shows a person, as large as there is one up to 256 pixels; as JPEG, which everything can show. */
function squareOf(row: AttachmentRow): Thumbnail {
  const squares = thumbnailsOf(row).filter(({ width, height }) => width === height && width <= 256)
  const bySize = squares.toSorted((a, b) => b.width - a.width)
  const square = bySize.find(({ contentType }) => contentType === 'image/jpeg') ?? bySize[0] ?? thumbnailsOf(row)[0]
  if (square === undefined) throw badInput('This cannot be shown small.', field)
  return square
}

const typeOf = (key: string) => (key.endsWith('.jpg') ? 'image/jpeg' : key.endsWith('.png') ? 'image/png' : 'image/webp')

/** Where somebody's picture can be fetched: their own, or the one that their identity provider names. */
export async function avatarAddress({ avatarKey, avatarUrl }: Avatar, files: Pick<Files, 'signDownload'>): Promise<string | null> {
  if (avatarKey === null) return avatarUrl
  const { url } = await files.signDownload({ key: avatarKey, contentType: typeOf(avatarKey), filename: null })
  return url
}

/**
 * Shows the viewer by a picture of their own, or by none, within a transaction; the one before goes, with its files.
 * Throws BAD_USER_INPUT where it is no picture that is READY, CONFLICT where it is part of a message.
 */
export async function setAvatar(
  tx: Transaction,
  jobs: JobAdder,
  viewerId: string,
  avatar: AttachmentKey | null,
): Promise<void> {
  const [user] = await tx.orm.select().from(users).where(eq(users.id, viewerId)).for('no key update')
  if (user === undefined) throw unauthenticated('This account is gone.')
  const former = user.avatarAttachmentId
  if (avatar !== null && avatar.id === former) return
  const key = avatar === null ? null : await take(tx, viewerId, avatar)
  await tx.orm
    .update(users)
    .set({ avatarAttachmentId: avatar?.id ?? null, avatarKey: key, avatarUrl: null })
    .where(eq(users.id, viewerId))
  if (former !== null) await abandonAttachments(tx, jobs, [{ userId: viewerId, attachmentIds: [former] }])
}

/** Claims a picture; returns the key of its square. */
async function take(tx: Transaction, viewerId: string, { userId, id }: AttachmentKey): Promise<string> {
  const own = and(eq(attachments.userId, viewerId), eq(attachments.id, id))
  const [row] = userId === viewerId ? await tx.orm.select().from(attachments).where(own).for('update') : []
  if (row === undefined) throw badInput('There is no such attachment of yours.', field)
  if (!row.contentType.startsWith('image/') || !isMedia(row.contentType)) throw badInput('This is no picture.', field)
  if (row.status !== 'READY') throw badInput('This picture is not ready.', field)
  if (row.claimedKey !== null || row.claimedAt !== null) throw conflict('This picture is part of a message.', field)
  const square = squareOf(row)
  await tx.orm.update(attachments).set({ claimedAt: new Date() }).where(own)
  return square.key
}
