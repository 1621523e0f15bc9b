import type { Database } from '../../drizzle/connection.ts'
import type { LinkPreview, LinkPreviewsService } from '../../server/domain/link-previews.ts'
import { findLinks, pageOf } from '../../server/lib/links.ts'
import type { Outbound } from '../../server/lib/outbound.ts'
import type { MessageStore } from '../../server/message-store/message-store.ts'
import { snowflakeTime } from '../../server/message-store/snowflake.ts'
import type { MakePicture, WriteFile } from './fetch-picture.ts'
import { createFetchPreview, type Fetched, saysSomething } from './fetch-preview.ts'
import { createHosts, Postponed } from './hosts.ts'
import { createLinkCache, type Found, type Outcome } from './link-cache.ts'

export type LinkPreviewJobOptions = {
  database: Database
  store: Pick<MessageStore, 'message'>
  linkPreviews: Pick<LinkPreviewsService, 'put'>
  writeFile: WriteFile
  outbound: Pick<Outbound, 'fetch'>
  makePicture: MakePicture
  /** Has the job done again in so many milliseconds: a host is busy, or wants to be left alone. */
  putOff(data: LinkPreviewJobData, ms: number): Promise<void>
  /** Between two requests to a host, in milliseconds; a second unless said otherwise. */
  pauseMs?: number
}

export type LinkPreviewJobData = { channelId: string; messageId: string }

/** What is known of an address by now; and how many milliseconds later to ask for more, if there is more. */
type Looked = { found: Found | null; waitMs: number | null }

const nothing: Looked = { found: null, waitMs: null }

/** What is shown of an address. */
const shown = new Set<Outcome>(['FOUND', 'PICTURE_LATER'])

/** Opening the links of a message must end before the queue gives the job to somebody else. Milliseconds. */
const timeoutMs = 50_000

/** How soon to look again at what somebody else is looking up just now. */
const busyMs = 2_000

/**
 * Where many wait for one host, they come back at random within a quarter of their age, up to this: often enough that
 * the host is never long without one, and seldom enough to leave the workers to others. Milliseconds.
 */
const maxSpreadMs = 30_000

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

  /** Does what an address was taken for, and keeps what came of it. */
  async function keepWhat(page: string, fetch: () => Promise<Fetched>): Promise<Looked> {
    try {
      const { found, forMs, waitMs = null } = await fetch()
      await cache.keep(page, found, forMs)
      return { found, waitMs }
    } catch (error) {
      // Where that fails too, the claim ends by itself.
      await cache.release(page).catch(() => undefined)
      if (error instanceof Postponed) return { found: null, waitMs: error.waitMs }
      throw error
    }
  }

  async function look(page: string, signal: AbortSignal): Promise<Looked> {
    const known = await cache.ask(page)
    if (known === 'busy') return { found: null, waitMs: busyMs }
    if (known === 'yours') return keepWhat(page, () => fetchPreview.page(page, signal))
    if (known.outcome !== 'PICTURE_LATER') return { found: known, waitMs: null }
    const forMs = await cache.takePicture(page)
    if (forMs === null) return { found: known, waitMs: busyMs }
    return keepWhat(page, () => fetchPreview.picture(known, forMs, signal))
  }

  return async function openLinks(data: LinkPreviewJobData, context: { signal?: AbortSignal } = {}): Promise<void> {
    const message = await store.message(data)
    if (message === null || message.deletedAt !== null) return
    const { content } = message
    const links = findLinks(content)
    if (links.length === 0) return
    const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(context.signal ? [context.signal] : [])])
    const results = await Promise.allSettled(links.map((link) => look(pageOf(link), signal)))
    const looked = results.map((result) => (result.status === 'fulfilled' ? result.value : nothing))
    const previews = looked.flatMap(({ found }, place): LinkPreview[] => {
      if (found === null || !shown.has(found.outcome) || !saysSomething(found)) return []
      const { outcome, ...preview } = found
      return [{ url: links[place]!, ...preview, ...(outcome === 'PICTURE_LATER' ? { imageKey: null } : {}) }]
    })
    await linkPreviews.put(data, content, previews)
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const waits = looked.flatMap(({ waitMs }) => waitMs ?? [])
    const age = Math.max(0, Date.now() - snowflakeTime(message.id).getTime())
    if (waits.length === 0 || age > tooLateMs) return
    await putOff(data, Math.ceil(Math.max(...waits) + Math.random() * Math.min(age / 4, maxSpreadMs)))
  }
}
