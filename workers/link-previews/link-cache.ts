import { createHash } from 'node:crypto'
import type { Database } from '../../drizzle/connection.ts'
import type { LinkPreview } from '../../server/domain/link-previews.ts'

/**
 * What came of opening a link: FOUND, EMPTY (nothing that could be shown), or why not. PICTURE_LATER: found, but for its
 * picture, whose host was busy; its address is where its key will be.
 */
export type Outcome = 'FOUND' | 'PICTURE_LATER' | 'EMPTY' | 'DISALLOWED' | 'REFUSED' | 'STATUS' | 'TIMEOUT' | 'TOO_LARGE' | 'FAILED'

/** What was found at an address, for all who mention it. */
export type Found = Omit<LinkPreview, 'url'> & { outcome: Outcome }

/** What is known of an address: found; being looked up by somebody else; or to be looked up by whoever asked. */
export type Known = Found | 'busy' | 'yours'

export type LinkCache = {
  /** Asks for an address. Who is told `yours` has to say what came of it, by `keep` or `release`, within a minute. */
  ask(page: string): Promise<Known>
  /**
   * Takes an address that is PICTURE_LATER, as if it were told `yours`. Returns for how many milliseconds what was found
   * is good; null where somebody else is at it, or was.
   */
  takePicture(page: string): Promise<number | null>
  keep(page: string, found: Found, forMs: number): Promise<void>
  /** Leaves an address to others, without a result. */
  release(page: string): Promise<void>
}

/** While this is the outcome, somebody is at it. */
const fetching = 'FETCHING'

/** The outcome of a row that is there for a picture alone, whose address has another by now. */
const replaced = 'REPLACED'

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

    async takePicture(page) {
      const [row] = await database.run<{ until: string; left_ms: number }>(
        `select expires_at::text as until, (extract(epoch from expires_at - now()) * 1000)::int as left_ms from link_cache
         where url_hash = $1::uuid and outcome = 'PICTURE_LATER' and expires_at > now()`,
        [keyOf(page)],
      )
      if (row === undefined) return null
      const taken = await database.run(
        `update link_cache set outcome = '${fetching}', expires_at = now() + ${claimMs} * interval '1 millisecond'
         where url_hash = $1::uuid and outcome = 'PICTURE_LATER' and expires_at = $2::text::timestamptz returning url_hash`,
        [keyOf(page), row.until],
      )
      return taken.length > 0 ? row.left_ms : null
    },

    async keep(page, found, forMs) {
      const [before] = await database.run<{ image_key: string; image_type: string }>(
        'select image_key, image_type from link_cache where url_hash = $1::uuid and image_type is not null',
        [keyOf(page)],
      )
      // Messages may show the picture of before: it stands for itself from now on, until it is swept.
      if (before !== undefined && before.image_key !== found.imageKey) {
        await database.run(
          `insert into link_cache (url_hash, url, outcome, image_key, image_type, fetched_at, expires_at)
           values ($1::uuid, $2, '${replaced}', $2, $3, now(), now()) on conflict do nothing`,
          [keyOf(before.image_key), before.image_key, before.image_type],
        )
      }
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

/** How long after its last visit a host is kept: what it wants of robots is good for no longer. */
const forgetHostAfter = `interval '1 day'`

/** Pictures that one round looks at. Each of them is looked at once a week. */
const sweptAtOnce = 5_000

/**
 * Forgets addresses and hosts that have not been asked for since long ago, and removes pictures that no message shows any
 * more. May run any number of times at the same time.
 */
export async function sweepLinkCache(
  database: Database,
  removeFiles?: (keys: readonly string[]) => Promise<void>,
): Promise<void> {
  const isOld = `expires_at < now() - ${forgetAfter}`
  await database.run(`delete from link_hosts where next_at < now() - ${forgetHostAfter}`, [])
  await database.run(`delete from link_cache where ${isOld} ${removeFiles ? 'and image_type is null' : ''}`, [])
  if (!removeFiles) return
  const old = await database.run<{ key: string }>(
    `select image_key as key from link_cache where ${isOld} and image_type is not null
     order by expires_at limit ${sweptAtOnce}`,
    [],
  )
  if (old.length === 0) return
  const keys = old.map(({ key }) => key)
  // Nobody comes to show a picture whose address has been too old for a week: it is on messages by now, or never will be.
  const shown = await database.run<{ key: string }>(
    `/* link pictures in use */ select distinct image_key as key from link_previews where image_key = any($1::text[])`,
    [keys],
  )
  const current = await database.run<{ key: string }>(
    `select image_key as key from link_cache where image_key = any($1::text[]) and not ${isOld}`,
    [keys],
  )
  const inUse = new Set([...shown, ...current].map(({ key }) => key))
  const gone = keys.filter((key) => !inUse.has(key))
  await removeFiles(gone)
  await database.run(`delete from link_cache where image_key = any($1::text[]) and ${isOld}`, [gone])
  await database.run(`update link_cache set expires_at = now() where image_key = any($1::text[]) and ${isOld}`, [
    [...inUse],
  ])
}
