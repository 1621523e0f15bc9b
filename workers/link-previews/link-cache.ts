import { createHash } from 'node:crypto'
import type { Database } from '../../drizzle/connection.ts'
import type { LinkPreview } from '../../server/domain/link-previews.ts'

/** What came of opening a link: FOUND, EMPTY (nothing that could be shown), or why not. */
export type Outcome = 'FOUND' | 'EMPTY' | 'DISALLOWED' | 'REFUSED' | 'STATUS' | 'TIMEOUT' | 'TOO_LARGE' | 'FAILED'

/** What was found at an address, for all who mention it. */
export type Found = Omit<LinkPreview, 'url'> & { outcome: Outcome }

/** What is known of an address: found; being looked up by somebody else; or to be looked up by whoever asked. */
export type Known = Found | 'busy' | 'yours'

export type LinkCache = {
  /** Asks for an address. Who is told `yours` has to say what came of it, by `keep` or `release`, within a minute. */
  ask(page: string): Promise<Known>
  keep(page: string, found: Found, forMs: number): Promise<void>
  /** Leaves an address to others, without a result. */
  release(page: string): Promise<void>
}

/** While this is the outcome, somebody is at it. */
const fetching = 'FETCHING'

/** Longer than opening a link may take; after that somebody else may try. */
const claimMs = 60_000

type Row = {
  outcome: string
  title: string | null
  description: string | null
  site_name: string | null
  image_key: string | null
  image_type: string | null
  image_width: number | null
  image_height: number | null
}

/** The key of an address: the first half of its SHA-256, as a UUID is written. */
const keyOf = (page: string) => createHash('sha256').update(page).digest('hex').slice(0, 32)

/** Opens the cache of links, which all workers share. */
export function createLinkCache(database: Database): LinkCache {
  return {
    async ask(page) {
      const key = keyOf(page)
      const [row] = await database.run<Row>(
        `/* link cache */ select outcome, title, description, site_name, image_key, image_type, image_width, image_height
         from link_cache where url_hash = $1::uuid and expires_at > now()`,
        [key],
      )
      if (row?.outcome === fetching) return 'busy'
      if (row !== undefined) return toFound(row)
      const made = await database.run(
        `insert into link_cache (url_hash, url, outcome, fetched_at, expires_at)
         values ($1::uuid, $2, '${fetching}', now(), now() + ${claimMs} * interval '1 millisecond')
         on conflict do nothing returning url_hash`,
        [key, page],
      )
      if (made.length > 0) return 'yours'
      const taken = await database.run(
        `update link_cache set outcome = '${fetching}', expires_at = now() + ${claimMs} * interval '1 millisecond'
         where url_hash = $1::uuid and expires_at <= now() returning url_hash`,
        [key],
      )
      return taken.length > 0 ? 'yours' : 'busy'
    },

    async keep(page, found, forMs) {
      await database.run(
        `update link_cache set outcome = $2, title = $3, description = $4, site_name = $5, image_key = $6, image_type = $7,
                image_width = $8, image_height = $9, fetched_at = now(),
                expires_at = now() + $10::int * interval '1 millisecond'
         where url_hash = $1::uuid`,
        [
          keyOf(page), found.outcome, found.title, found.description, found.siteName, found.imageKey, found.imageType,
          found.imageWidth, found.imageHeight, forMs,
        ],
      )
    },

    async release(page) {
      await database.run(
        `update link_cache set expires_at = now() where url_hash = $1::uuid and outcome = '${fetching}'`,
        [keyOf(page)],
      )
    },
  }
}

const toFound = (row: Row): Found => ({
  outcome: row.outcome as Outcome,
  title: row.title,
  description: row.description,
  siteName: row.site_name,
  imageKey: row.image_key,
  imageType: row.image_type,
  imageWidth: row.image_width,
  imageHeight: row.image_height,
})

/** How long what nobody asks for any more is kept: a week. */
const forgetAfter = `interval '7 days'`

/** Forgets addresses and hosts that have not been asked for since long ago. */
export async function sweepLinkCache(database: Database): Promise<void> {
  await database.run(`delete from link_cache where expires_at < now() - ${forgetAfter}`, [])
  await database.run(`delete from link_hosts where next_at < now() - ${forgetAfter}`, [])
}
