import { and, asc, eq } from 'drizzle-orm'
import { linkPreviews } from '../../drizzle/tables/index.ts'
import { badInput, conflict } from '../errors.ts'
import { findLinks } from '../lib/links.ts'
import type { LockedChannel } from '../message-store/channel-lock.ts'
import { messageArrays, type MessageKey, readMessage } from '../message-store/pages.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { accessChannel, authoriseLocked } from './access.ts'
import type { Deps } from './deps.ts'
// Its type alone: what is said anew brings its links in line, and so `messages.ts` needs this file.
import type { MessagesService } from './messages.ts'

/** What is shown of a link. */
export type LinkPreview = {
  /** The link as `findLinks` finds it. */
  url: string
  title: string | null
  description: string | null
  siteName: string | null
  /** Where its picture is kept, with its type and size in pixels; null where there is none. */
  imageKey: string | null
  imageType: string | null
  imageWidth: number | null
  imageHeight: number | null
}

export type LinkPreviewRow = typeof linkPreviews.$inferSelect

export type LinkPreviewsService = ReturnType<typeof createLinkPreviewsService>

/** What has been found out about links in messages. */
export function createLinkPreviewsService({ database, store, announce, files }: Deps, messages: MessagesService) {
  return {
    /** The previews of these messages, each message's in the order of its links. Permission is the caller's affair. */
    async findMany(keys: readonly MessageKey[]): Promise<LinkPreviewRow[]> {
      const rows = await database.run<RawPreview>(
        `/* link previews */
         select p.channel_id, p.message_id, p.position, p.url, p.title, p.description, p.site_name, p.image_key,
                p.image_type, p.image_width, p.image_height, p.removed
         from unnest($1::bigint[], $2::bigint[]) as wanted (channel_id, message_id)
         join link_previews p on p.channel_id = wanted.channel_id and p.message_id = wanted.message_id and not p.removed
         where p.channel_id = any ($1::bigint[])
         order by p.message_id, p.position`,
        messageArrays(keys),
      )
      return rows.map((row) => ({
        channelId: row.channel_id,
        messageId: row.message_id,
        position: row.position,
        url: row.url,
        title: row.title,
        description: row.description,
        siteName: row.site_name,
        imageKey: row.image_key,
        imageType: row.image_type,
        imageWidth: row.image_width,
        imageHeight: row.image_height,
        removed: row.removed,
      }))
    },

    /** Where a picture can be fetched, from us and not from whoever made the page; null where there is none. */
    async imageUrl({ imageKey: key, imageType: contentType }: Pick<LinkPreview, 'imageKey' | 'imageType'>): Promise<string | null> {
      if (key === null || contentType === null) return null
      const { url } = await files.signDownload({ key, contentType, filename: null })
      return url
    },

    /**
     * Adds previews to a message, for whom its author need not be asked: they were made for `content`. What does not say
     * that any more, or is gone, is left as it is; what was removed stays so. Those who listen are told if anything is
     * new.
     */
    async put(key: MessageKey, content: string, previews: readonly LinkPreview[]): Promise<void> {
      const links = findLinks(content)
      const found = previews.filter((preview) => links.includes(preview.url))
      if (found.length === 0) return
      const done = await store.change(key.channelId, async (channel) => {
        const message = await readMessage(channel.tx, key)
        if (message === null || message.seq < channel.row.firstSeq) return
        if (message.deletedAt !== null || message.content !== content) return
        const there = new Map((await readRows(channel, message.id)).map((row) => [row.url, row]))
        const fresh = found.filter(({ url, ...preview }) => {
          const row = there.get(url)
          return row === undefined || (!row.removed && !isAlike(row, preview))
        })
        if (fresh.length === 0) return
        for (const preview of fresh) {
          const place = { channelId: message.channelId, messageId: message.id, position: links.indexOf(preview.url) }
          await channel.tx.orm
            .insert(linkPreviews)
            .values({ ...place, ...preview })
            .onConflictDoUpdate({
              target: [linkPreviews.channelId, linkPreviews.messageId, linkPreviews.position],
              set: { ...preview, removed: false },
            })
        }
        await channel.touchMessage(message.id, 'ENRICHED', {})
      })
      if (done !== null) announce.channel(done.changes)
    },

    /**
     * Takes the preview of a link away, or all of a message's where `link` is null, for good: of links that nobody has
     * opened yet, too. Its author may, and who keeps order. Throws BAD_USER_INPUT where the message has no such link.
     */
    async remove(viewerId: string, key: MessageKey, link: string | null): Promise<MessageRow> {
      await accessChannel(database.orm, viewerId, key.channelId, 'read', 'messageId')
      return messages.changeMessage(key, 'messageId', async (channel, message) => {
        const tx = channel.tx.orm
        const isOwn = message.authorId === viewerId
        await authoriseLocked(tx, channel.row, viewerId, isOwn ? 'deleteOwn' : 'deleteAny')
        if (message.deletedAt !== null) throw conflict('The message has been deleted.', 'messageId')
        const links = findLinks(message.content)
        const url = link === null ? null : (URL.parse(link)?.href ?? link)
        const unwanted = url === null ? links : links.filter((each) => each === url)
        if (url !== null && unwanted.length === 0) throw badInput('The message has no such link.', 'url')
        const there = new Map((await readRows(channel, message.id)).map((row) => [row.url, row]))
        const left = unwanted.filter((each) => there.get(each)?.removed !== true)
        if (left.length === 0) return message
        for (const each of left) {
          const place = { channelId: message.channelId, messageId: message.id, position: links.indexOf(each) }
          await tx
            .insert(linkPreviews)
            .values({ ...place, ...nothing, url: each, removed: true })
            .onConflictDoUpdate({
              target: [linkPreviews.channelId, linkPreviews.messageId, linkPreviews.position],
              set: { ...nothing, url: each, removed: true },
            })
        }
        return channel.touchMessage(message.id, 'ENRICHED', {})
      })
    },
  }
}

type RawPreview = {
  channel_id: string
  message_id: string
  position: number
  url: string
  title: string | null
  description: string | null
  site_name: string | null
  image_key: string | null
  image_type: string | null
  image_width: number | null
  image_height: number | null
  removed: boolean
}

/** What is known of a link whose preview nobody is to see. */
const nothing = {
  title: null,
  description: null,
  siteName: null,
  imageKey: null,
  imageType: null,
  imageWidth: null,
  imageHeight: null,
}

const isAlike = (row: LinkPreviewRow, preview: Omit<LinkPreview, 'url'>) =>
  (Object.keys(nothing) as (keyof typeof nothing)[]).every((name) => row[name] === preview[name])

const onMessage = (channel: LockedChannel, messageId: string) =>
  and(eq(linkPreviews.channelId, channel.row.id), eq(linkPreviews.messageId, messageId))

const readRows = (channel: LockedChannel, messageId: string): Promise<LinkPreviewRow[]> =>
  channel.tx.orm.select().from(linkPreviews).where(onMessage(channel, messageId)).orderBy(asc(linkPreviews.position))

/**
 * Brings the previews of a message in line with what it is about to say, within the transaction that changes it: those of
 * links that stay take their new places, removed ones too, and the others go. Say '' for a message that is deleted.
 * `message` is as it was before.
 */
export async function syncLinks(channel: LockedChannel, message: MessageRow, content: string): Promise<void> {
  // A preview that has come in, or was removed, is a change of the message: where there was none, there is nothing.
  if (message.version === message.change) return
  const rows = await readRows(channel, message.id)
  if (rows.length === 0) return
  const links = findLinks(content)
  const kept = rows.filter((row) => links.includes(row.url)).map((row) => ({ ...row, position: links.indexOf(row.url) }))
  if (kept.length === rows.length && kept.every((row, place) => row.position === rows[place]!.position)) return
  await channel.tx.orm.delete(linkPreviews).where(onMessage(channel, message.id))
  if (kept.length > 0) await channel.tx.orm.insert(linkPreviews).values(kept)
}
