import type { Database } from '../../drizzle/connection.ts'
import type { LinkPreview, LinkPreviewsService } from '../../server/domain/link-previews.ts'
import { findLinks, pageOf } from '../../server/lib/links.ts'
import type { Outbound } from '../../server/lib/outbound.ts'
import type { MessageStore } from '../../server/message-store/message-store.ts'
import { snowflakeTime } from '../../server/message-store/snowflake.ts'
import { createFetchPreview, type FetchPreviewOptions, type MakePicture } from './fetch-preview.ts'
import { createHosts, Postponed } from './hosts.ts'
import { createLinkCache, type Found } from './link-cache.ts'

export type LinkPreviewJobOptions = {
  database: Database
  store: Pick<MessageStore, 'message'>
  linkPreviews: Pick<LinkPreviewsService, 'put'>
  writeFile: FetchPreviewOptions['writeFile']
  outbound: Pick<Outbound, 'fetch'>
  makePicture: MakePicture
  /** Has the job done again in so many milliseconds: a host is busy, or wants to be left alone. */
  putOff(data: LinkPreviewJobData, ms: number): Promise<void>
  /** Between two requests to a host, in milliseconds; a second unless said otherwise. */
  pauseMs?: number
}

export type LinkPreviewJobData = { channelId: string; messageId: string }

/** Opening the links of a message must end before the queue gives the job to somebody else. Milliseconds. */
const timeoutMs = 50_000

/** How soon to look again at what somebody else is looking up just now. */
const busyMs = 2_000

/** A preview that comes later than this is of no use any more, and a host that busy not to be asked. */
const tooLateMs = 3_600_000

/**
 * The job that opens the links of a message and adds what it finds to the message. It may run any number of times, at
 * the same time too: each address is looked up by one of them, and what they find is added once. What could be found is
 * added even where something else has to wait. Throws what is worth another try: the store, or files, are away.
 */
export function createLinkPreviewJob(options: LinkPreviewJobOptions) {
  const { database, store, linkPreviews, putOff, pauseMs } = options
  const cache = createLinkCache(database)
  const fetchPreview = createFetchPreview({ ...options, hosts: createHosts({ database, pauseMs }) })

  /** What stands at an address; or how many milliseconds later to ask again. */
  async function look(page: string, signal: AbortSignal): Promise<Found | number> {
    const known = await cache.ask(page)
    if (known === 'busy') return busyMs
    if (known !== 'yours') return known
    try {
      const { found, forMs } = await fetchPreview(page, signal)
      await cache.keep(page, found, forMs)
      return found
    } catch (error) {
      // Where that fails too, the claim ends by itself.
      await cache.release(page).catch(() => undefined)
      if (error instanceof Postponed) return error.waitMs
      throw error
    }
  }

  return async function openLinks(data: LinkPreviewJobData, context: { signal?: AbortSignal } = {}): Promise<void> {
    const message = await store.message(data)
    if (message === null || message.deletedAt !== null) return
    const { content } = message
    const links = findLinks(content)
    if (links.length === 0) return
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(context.signal ? [context.signal] : [])])
    const results = await Promise.allSettled(links.map((link) => look(pageOf(link), signal)))
    const known = results.map((result) => (result.status === 'fulfilled' ? result.value : null))
    const previews = known.flatMap((found, place): LinkPreview[] => {
      if (found === null || typeof found === 'number' || found.outcome !== 'FOUND') return []
      const { outcome: _, ...shown } = found
      return [{ url: links[place]!, ...shown }]
    })
    await linkPreviews.put(data, content, previews)
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const waits = known.filter((each) => typeof each === 'number')
    const age = Date.now() - snowflakeTime(message.id).getTime()
    if (waits.length > 0 && age < tooLateMs) await putOff(data, Math.max(...waits))
  }
}
