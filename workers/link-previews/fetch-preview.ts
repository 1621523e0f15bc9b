import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileTypeFromBuffer } from 'file-type'
import { OutboundError, type Outbound, type OutboundAnswer } from '../../server/lib/outbound.ts'
import { pageOf } from '../../server/lib/links.ts'
import { type Hosts, Postponed, type Turn } from './hosts.ts'
import type { Found, Outcome } from './link-cache.ts'
import { createPageReader, type Page, type PageReader } from './read-page.ts'
import { forbidAll, keepRules, maxRobotsBytes, readRobots, type Robots } from './robots.ts'

/** Makes a small picture of whatever a file holds; null where it is none, or is not to be trusted. */
export type MakePicture = (
  input: Buffer,
  size: { width: number; height: number },
) => Promise<{ data: Buffer; width: number; height: number; contentType: string } | null>

export type FetchPreviewOptions = {
  outbound: Pick<Outbound, 'fetch'>
  hosts: Hosts
  makePicture: MakePicture
  /** Keeps a picture. */
  writeFile: (key: string, body: Buffer, contentType: string) => Promise<unknown>
  /** For each request; ten seconds unless said otherwise: who clicks on a page that takes longer has gone by then. */
  timeoutMs?: number
}

/** What came of opening a link, and for how long that is good. */
export type Fetched = { found: Found; forMs: number }

/** What an address answered. `body`: the picture of a page, where it was asked for in the same go. */
type Visited =
  | { type: 'redirect'; to: string | null }
  | { type: 'nothing' }
  | { type: 'picture'; body: Buffer; forMs: number }
  | { type: 'page'; page: Page; body?: Buffer | null; forMs: number }

const hourMs = 3_600_000

/** How long what was found is shown to others; what was not may be there soon. */
const foundForMs = 24 * hourMs
const failedForMs = hourMs

/** RFC 9309, section 2.4, wants a day at the most. Where the rules could not be had, they are asked for again soon. */
const rulesForMs = 24 * hourMs
const noRulesForMs = hourMs / 6

/** The head of a page is read, which on the largest sites is some hundred kilobytes. */
const maxPageBytes = 1_000_000

/** A photograph as cameras make them. */
const maxPictureBytes = 8_000_000

const defaultTimeoutMs = 10_000

/** A worker that is busy with films has no time for the pictures of links. */
const pictureMs = 15_000

/** Redirects of a link: one to https, one to www, one from a shortener. */
const maxRedirects = 3

/** As wide as clients show it on a sharp screen, and never higher than it is wide. */
const pictureSize = { width: 600, height: 600 }

/** Pictures by what they hold, and not by what they are called. */
const pictureTypes = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif'])

const pageTypes = new Set(['text/html', 'application/xhtml+xml', ''])

const nothing = {
  title: null,
  description: null,
  siteName: null,
  imageKey: null,
  imageType: null,
  imageWidth: null,
  imageHeight: null,
}

const failure = (outcome: Outcome): Fetched => ({ found: { outcome, ...nothing }, forMs: failedForMs })

const outcomes = { refused: 'REFUSED', timeout: 'TIMEOUT', 'too-large': 'TOO_LARGE', failed: 'FAILED' } as const

/**
 * Opens links. What it returns looks up what stands at an address: throws Postponed where a host has to be left alone
 * just now, and what `writeFile` and the store throw. Whatever is wrong with the address or its host is an outcome.
 */
export function createFetchPreview(options: FetchPreviewOptions) {
  const { outbound, hosts, makePicture, writeFile, timeoutMs = defaultTimeoutMs } = options

  /** The rules of the host that an address is on, asked for where they are not known. */
  async function rulesFor(url: string, host: string, signal?: AbortSignal): Promise<Robots> {
    const known = await hosts.rulesOf(host)
    if (known !== null) return readRobots(url, known)
    const rules = await hosts.visit(host, async () => {
      const { rules, forMs } = await askForRules(url, signal)
      await hosts.keepRules(host, rules, forMs)
      return rules
    })
    return readRobots(url, rules)
  }

  async function askForRules(url: string, signal?: AbortSignal): Promise<{ rules: string; forMs: number }> {
    const limits = { timeoutMs: timeoutMs / 2, maxBytes: maxRobotsBytes, cut: true, maxRedirects: 5, signal }
    try {
      const { status, body } = await outbound.fetch(new URL('/robots.txt', url).href, limits)
      // RFC 9309, section 2.3.1: no rules where there is no file, no entry where the server is in trouble.
      if (status >= 500 || status === 429) return { rules: forbidAll, forMs: noRulesForMs }
      return { rules: status >= 200 && status < 300 ? keepRules(body.toString()) : '', forMs: rulesForMs }
    } catch (error) {
      if (!(error instanceof OutboundError) || error.reason === 'refused') throw error
      signal?.throwIfAborted()
      return { rules: forbidAll, forMs: noRulesForMs }
    }
  }

  /** Asks for a page or a picture: of the one its head is read, of the other all, and of anything else nothing. */
  async function open(url: string, signal?: AbortSignal): Promise<{ answer: OutboundAnswer; reader: PageReader | null }> {
    let reader: PageReader | null = null
    const answer = await outbound.fetch(url, {
      headers: { accept: 'text/html,application/xhtml+xml,image/*;q=0.9' },
      timeoutMs,
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

  /** Makes a picture small and keeps it; null where it is none. */
  async function keepPicture(body: Buffer): Promise<Pick<Found, 'imageKey' | 'imageType' | 'imageWidth' | 'imageHeight'> | null> {
    const type = await fileTypeFromBuffer(body).catch(() => undefined)
    if (type === undefined || !pictureTypes.has(type.mime)) return null
    const tooLong = new AbortController()
    const giveUp = sleep(pictureMs, null, { signal: tooLong.signal }).catch(() => null)
    const picture = await Promise.race([makePicture(body, pictureSize), giveUp]).finally(() => tooLong.abort())
    if (picture === null) return null
    // By what it shows: pages of one site often share theirs.
    const key = `previews/${createHash('sha256').update(picture.data).digest('hex').slice(0, 32)}`
    await writeFile(key, picture.data, picture.contentType)
    return { imageKey: key, imageType: picture.contentType, imageWidth: picture.width, imageHeight: picture.height }
  }

  /** Asks for the picture that a page shows of itself; null where it cannot be had. */
  async function askForPicture(url: string, signal?: AbortSignal): Promise<Buffer | null> {
    try {
      const limits = { timeoutMs, maxBytes: maxPictureBytes, maxRedirects, signal }
      const { status, body } = await outbound.fetch(url, { ...limits, headers: { accept: 'image/*' } })
      return status === 200 ? body : null
    } catch (error) {
      signal?.throwIfAborted()
      // A page without its picture is better than none.
      if (error instanceof OutboundError) return null
      throw error
    }
  }

  /** Asks for a page, and for its picture where that is on the same host. The turn is ours. */
  async function visitPage(url: string, turn: Turn, signal?: AbortSignal): Promise<Visited> {
    const { answer, reader } = await open(url, signal)
    const { status, headers, body } = answer
    const location = status >= 300 && status < 400 ? headers.get('location') : null
    if (location !== null) return { type: 'redirect', to: URL.parse(location, url)?.href ?? null }
    if (status !== 200) return { type: 'nothing' }
    const forMs = /\bno-store\b/i.test(headers.get('cache-control') ?? '') ? failedForMs : foundForMs
    if (reader === null) return { type: 'picture', body, forMs }
    const page = reader.end()
    if (page.imageUrl === null || new URL(page.imageUrl).host !== new URL(url).host) return { type: 'page', page, forMs }
    const { imageUrl } = page
    await turn.pause()
    return { type: 'page', page: { ...page, imageUrl: null }, body: await askForPicture(imageUrl, signal), forMs }
  }

  /** The picture of a page whose own host has been left. */
  async function pictureOf({ page, body = null }: { page: Page; body?: Buffer | null }, signal?: AbortSignal) {
    const { imageUrl } = page
    if (imageUrl === null) return body === null ? null : keepPicture(body)
    try {
      const asked = await hosts.visit(new URL(imageUrl).host, () => askForPicture(imageUrl, signal))
      return asked === null ? null : await keepPicture(asked)
    } catch (error) {
      if (error instanceof Postponed) return null
      throw error
    }
  }

  async function follow(first: string, signal?: AbortSignal): Promise<Fetched> {
    let url = first
    for (let left = maxRedirects; ; left--) {
      const { host } = new URL(url)
      const robots = await rulesFor(url, host, signal)
      if (!robots.allows(url)) return failure('DISALLOWED')
      const from = url
      const visited = await hosts.visit(host, (turn) => visitPage(from, turn, signal), robots.delayMs)
      if (visited.type === 'nothing') return failure('STATUS')
      if (visited.type === 'redirect') {
        if (visited.to === null || left === 0) return failure('FAILED')
        if (!/^https?:/.test(visited.to)) return failure('REFUSED')
        url = pageOf(visited.to)
        continue
      }
      const picture = visited.type === 'picture' ? await keepPicture(visited.body) : await pictureOf(visited, signal)
      const { title, description, siteName } = visited.type === 'picture' ? nothing : visited.page
      if (title === null && description === null && picture === null) return failure('EMPTY')
      return { found: { ...nothing, outcome: 'FOUND', title, description, siteName, ...picture }, forMs: visited.forMs }
    }
  }

  return async function fetchPreview(page: string, signal?: AbortSignal): Promise<Fetched> {
    try {
      return await follow(page, signal)
    } catch (error) {
      // Who was told to stop has found nothing out.
      signal?.throwIfAborted()
      if (error instanceof OutboundError) return failure(outcomes[error.reason])
      throw error
    }
  }
}

const typeOf = (headers: Headers) => (headers.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
