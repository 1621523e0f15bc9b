import type { Database } from '../../drizzle/connection.ts'
import { attachmentGlobalId } from '../lib/global-id.ts'
import { firstCodePoints } from '../lib/text.ts'

/**
 * What all files of an export may have together, in bytes: the whole must fit into one transfer to the storage, and on
 * the disk of a worker. The latest come first; what does not fit is listed, and can be had in the app.
 */
export const maxFileBytes = 1024 ** 3

/** Attachments that one statement lists. */
const listedAtOnce = 500

/** Code points of a name: 50 are at most 200 bytes, and with the id and an ending no more than the 255 that systems take. */
const maxName = 50

/** One of somebody's own files: where it is kept, and where it goes in the export. */
export type ExportedFile = {
  key: string
  path: string
  contentType: string
  byteSize: number
  /** What `attachments.jsonl` says of it besides where it is. */
  about: Record<string, unknown>
}

/** Names that no system takes in the wrong way. */
const tame = (filename: string): string => {
  const plain = filename.replaceAll(/[\p{Cc}\p{Cf}<>:"/\\|?*]/gu, '_').replace(/[. ]+$/, '')
  const ending = /\.[\w]{1,10}$/.exec(plain)?.[0] ?? ''
  return firstCodePoints(plain.slice(0, plain.length - ending.length), maxName) + ending
}

/** Somebody's own files that can be had, the latest first. */
export async function* exportedFiles(database: Pick<Database, 'run'>, userId: string): AsyncGenerator<ExportedFile> {
  for (let before: string | null = null; ; ) {
    const rows: {
      id: string; key: string; filename: string; content_type: string; byte_size: number; created_at: Date
    }[] = await database.run(
      `/* own files */ select id, key, filename, content_type, byte_size, created_at from attachments
       where user_id = $1 and id < $2 and status = 'READY' and key is not null order by id desc limit ${listedAtOnce}`,
      // The greatest there is.
      [userId, before ?? '9223372036854775807'],
    )
    for (const row of rows) {
      const id = attachmentGlobalId(userId, row.id)
      yield {
        key: row.key,
        path: `attachments/${id}-${tame(row.filename)}`,
        contentType: row.content_type,
        byteSize: row.byte_size,
        about: { id, filename: row.filename, contentType: row.content_type, byteSize: row.byte_size, createdAt: row.created_at },
      }
    }
    if (rows.length < listedAtOnce) return
    before = rows.at(-1)!.id
  }
}
