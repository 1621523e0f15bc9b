import { OutboundError, type OutboundAnswer } from '../../server/lib/outbound.ts'
import { pageOf } from '../../server/lib/links.ts'
import {
  createFetchPicture, type FetchPictureOptions, maxPictureBytes, type Picture, pictureTypes,
} from './fetch-picture.ts'
import { createFetchRules } from './fetch-rules.ts'
import { hostOf, Postponed } from './hosts.ts'
import type { Found, Outcome } from './link-cache.ts'
import { createPageReader, type Page, type PageReader } from './read-page.ts'
import { isAskable, maxRedirects, redirectOf, startTrip, type Trip } from './trip.ts'

export type FetchPreviewOptions = Omit<FetchPictureOptions, 'timeoutMs'> & {
  /** For each request; ten seconds unless said otherwise: who clicks on a page that takes longer has gone by then. */
  timeoutMs?: number
}

/**
 * What came of opening a link, and for how long that is good. `waitMs`: it is PICTURE_LATER, and its picture may be asked
 * for after so many milliseconds.
 */
export type Fetched = { found: Found; forMs: number; waitMs?: number }

/** `reader` has read the page; null where it is none. */
type Opened = { answer: OutboundAnswer; reader: PageReader | null }

/** What an address answered. */
type Visited =
  | { type: 'redirect'; to: URL }
  | { type: 'nothing' }
  | { type: 'picture'; body: Buffer; forMs: number }
  | { type: 'page'; page: Page; forMs: number }

const hourMs = 3_600_000

/** How long what was found is shown to others; what was not may be there soon. */
const foundForMs = 24 * hourMs
const failedForMs = hourMs

/** The head of a page is read, which on the largest sites is some hundred kilobytes. */
const maxPageBytes = 1_000_000

const defaultTimeoutMs = 10_000

const pageTypes = new Set(['text/html', 'application/xhtml+xml', ''])

const noPicture: Picture = { imageKey: null, imageType: null, imageWidth: null, imageHeight: null }

const nothing = { title: null, description: null, siteName: null, ...noPicture }

const failure = (outcome: Outcome): Fetched => ({ found: { outcome, ...nothing }, forMs: failedForMs })

const outcomes = { refused: 'REFUSED', timeout: 'TIMEOUT', 'too-large': 'TOO_LARGE', failed: 'FAILED' } as const

/** Whether there is anything to be shown. */
export const saysSomething = ({ title, description, imageWidth }: Found): boolean =>
  title !== null || description !== null || imageWidth !== null

/** A page with or without its picture. */
function foundOn(page: Omit<Page, 'imageUrl'>, picture: Picture | null, forMs: number): Fetched {
  const { title, description, siteName } = page
  const found: Found = { outcome: 'FOUND', title, description, siteName, ...(picture ?? noPicture) }
  return saysSomething(found) ? { found, forMs } : failure('EMPTY')
}

/**
 * Opens links. Throws Postponed where a host has to be left alone just now, what `writeFile` and the store throw, and
 * what the signal says. Whatever is wrong with the address or its host is an outcome.
 */
export function createFetchPreview({ timeoutMs = defaultTimeoutMs, ...options }: FetchPreviewOptions) {
  const { outbound, hosts } = options
  const rulesFor = createFetchRules({ outbound, hosts, timeoutMs })
  const pictures = createFetchPicture({ ...options, timeoutMs })

  /** Asks for a page or a picture: of the one its head is read, of the other all, and of anything else nothing. */
  async function open(url: string, { signal, timeFor }: Trip): Promise<Opened> {
    let reader: PageReader | null = null
    const answer = await outbound.fetch(url, {
      headers: { accept: 'text/html,application/xhtml+xml,image/*;q=0.9' },
      timeoutMs: timeFor(timeoutMs),
      maxBytes: maxPictureBytes,
      signal,
      limitsFor({ status, headers }) {
        const type = typeOf(headers)
        if (status !== 200 || !(pageTypes.has(type) || pictureTypes.has(type))) return { maxBytes: 0, cut: true }
        if (!pageTypes.has(type)) return {}
        const page = createPageReader(url, headers.get('content-type'))
        reader = page
        return { maxBytes: maxPageBytes, cut: true, enough: (piece) => page.write(piece) }
      },
    })
    return { answer, reader }
  }

  async function visitPage(url: string, trip: Trip): Promise<Visited> {
    const { answer, reader } = await open(url, trip)
    const to = redirectOf(url, answer)
    if (to !== null) return { type: 'redirect', to }
    if (answer.status !== 200) return { type: 'nothing' }
    const forMs = /\bno-store\b/i.test(answer.headers.get('cache-control') ?? '') ? failedForMs : foundForMs
    return reader === null ? { type: 'picture', body: answer.body, forMs } : { type: 'page', page: reader.end(), forMs }
  }

  /** Adds its picture to a page. */
  async function addPicture({ imageUrl, ...page }: Page, forMs: number, trip: Trip): Promise<Fetched> {
    if (imageUrl === null) return foundOn(page, null, forMs)
    try {
      return foundOn(page, await pictures.fetch(imageUrl, trip), forMs)
    } catch (error) {
      if (!(error instanceof Postponed)) throw error
      const found: Found = { outcome: 'PICTURE_LATER', ...page, ...noPicture, imageKey: imageUrl }
      return { found, forMs, waitMs: error.waitMs }
    }
  }

  async function follow(first: string, trip: Trip): Promise<Fetched> {
    let url = first
    for (let left = maxRedirects; ; left--) {
      const from = url
      const robots = await rulesFor(from, trip)
      if (!robots.allows(from)) return failure('DISALLOWED')
      const visit = { delayMs: robots.delayMs, tour: trip.tour }
      const visited = await hosts.visit(hostOf(from), () => visitPage(from, trip), visit)
      if (visited.type === 'nothing') return failure('STATUS')
      if (visited.type === 'page') return addPicture(visited.page, visited.forMs, trip)
      if (visited.type === 'picture') return foundOn(nothing, await pictures.keep(visited.body), visited.forMs)
      if (!/^https?:$/.test(visited.to.protocol)) return failure('REFUSED')
      if (left === 0 || !isAskable(visited.to)) return failure('FAILED')
      url = pageOf(visited.to.href)
    }
  }

  /** Whoever was told to stop has found nothing out. */
  async function outcomeOf(work: Promise<Fetched>, signal?: AbortSignal): Promise<Fetched> {
    try {
      return await work
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof OutboundError) return failure(outcomes[error.reason])
      throw error
    }
  }

  return {
    /** Looks up what stands at an address. */
    page: (page: string, signal?: AbortSignal): Promise<Fetched> => outcomeOf(follow(page, startTrip(signal)), signal),

    /** Asks for the picture of what is PICTURE_LATER, and good for another `forMs`. */
    picture: (found: Found, forMs: number, signal?: AbortSignal): Promise<Fetched> =>
      outcomeOf(addPicture({ ...found, imageUrl: found.imageKey }, forMs, startTrip(signal)), signal),
  }
}

const typeOf = (headers: Headers) => (headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
