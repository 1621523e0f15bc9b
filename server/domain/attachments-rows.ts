import type { attachments } from '../../drizzle/tables/index.ts'

export type AttachmentRow = typeof attachments.$inferSelect
export type AttachmentKey = { userId: string; id: string }
export type AttachmentFailure = NonNullable<AttachmentRow['failure']>

/** A picture's smaller form. */
export type Thumbnail = { key: string; width: number; height: number; contentType: string }

/** Where a client puts a file, which nobody is served from. */
export const uploadKey = ({ userId, id }: AttachmentKey): string => `uploads/${userId}/${id}`

/** The smaller forms of an attachment, smallest first. */
export const thumbnailsOf = (row: Pick<AttachmentRow, 'thumbnails'>): Thumbnail[] =>
  row.thumbnails === null ? [] : (JSON.parse(row.thumbnails) as Thumbnail[])
