import { firstCodePoints } from '../../server/lib/text.ts'
import { charsetOf } from './charset.ts'
import { createHeadReader, maxValue } from './read-head.ts'

/** What a page says of itself. */
export type Page = {
  title: string | null
  description: string | null
  siteName: string | null
  /** Where its picture is; http or https. */
  imageUrl: string | null
}

/** Reads a page as it comes in. */
export type PageReader = {
  /** Takes the next bytes; true: the head is over, and no more is wanted. */
  write(piece: Buffer): boolean
  /** What was found. */
  end(): Page
}

/** Code points that are kept: about what the widest of previews shows, in any language. */
const maxTitle = 300
const maxDescription = 1_000
const maxSiteName = 100

/** UTF-16 units of an address that is followed. */
const maxAddress = 2_048

/** Bytes that are looked at before it is decided how they are to be read. */
const sniffedBytes = 4_096

/** Bytes that are read in one go, between two looks at the clock. */
const stepBytes = 16_384

/** How long a page may keep the process busy, in milliseconds: a megabyte takes some ten. */
const maxBusyMs = 250

/**
 * Where things are said, the best first: Open Graph, Twitter's cards, HTML's own. `title` stands for the element of that
 * name.
 */
const sources = {
  title: ['og:title', 'twitter:title', 'title'],
  description: ['og:description', 'twitter:description', 'description'],
  siteName: ['og:site_name', 'application-name'],
  image: ['og:image:secure_url', 'og:image', 'og:image:url', 'twitter:image', 'twitter:image:src'],
}

const wanted = new Set(Object.values(sources).flat())

/** Reads the head of the page at `url`, which the server calls `contentType`. What stands in its body does not count. */
export function createPageReader(url: string, contentType: string | null): PageReader {
  const said = new Map<string, string>()
  let base = url
  let title = ''
  let isOver = false
  let busyMs = 0

  const head = createHeadReader({
    onTag(name, attributes) {
      if (name === 'base') {
        base = URL.parse(attributes.get('href') ?? '', url)?.href ?? base
        return
      }
      const content = attributes.get('content')?.slice(0, maxValue).trim() ?? ''
      // Sites that mix them up are many.
      for (const key of [attributes.get('property'), attributes.get('name')].map((each) => each?.trim().toLowerCase())) {
        if (key !== undefined && content !== '' && wanted.has(key) && !said.has(key)) said.set(key, content)
      }
    },
    onTitle(text) {
      if (title.length < maxValue) title += text.slice(0, maxValue)
    },
  })

  let decoder: TextDecoder | null = null
  let start = Buffer.alloc(0)

  function read(piece: Buffer | null) {
    if (decoder === null) {
      if (piece !== null) start = Buffer.concat([start, piece])
      if (piece !== null && start.length < sniffedBytes) return
      decoder = new TextDecoder(charsetOf(start, contentType, url))
      isOver = head.write(decoder.decode(start, { stream: true }))
    } else if (piece !== null) isOver = head.write(decoder.decode(piece, { stream: true }))
  }

  return {
    write(piece) {
      for (let from = 0; from < piece.length && !isOver; from += stepBytes) {
        const began = performance.now()
        read(piece.subarray(from, from + stepBytes))
        busyMs += performance.now() - began
        if (busyMs > maxBusyMs) isOver = true
      }
      return isOver
    },
    end() {
      if (!isOver) read(null)
      head.end()
      if (!said.has('title')) said.set('title', title)
      const first = (keys: readonly string[], max: number): string | null => {
        for (const key of keys) {
          const text = cleaned(said.get(key) ?? '', max)
          if (text !== '') return text
        }
        return null
      }
      const images = sources.image.map((key) => addressOf(said.get(key), base))
      return {
        title: first(sources.title, maxTitle),
        description: first(sources.description, maxDescription),
        siteName: first(sources.siteName, maxSiteName),
        imageUrl: images.find((address) => address !== null) ?? null,
      }
    },
  }
}

function addressOf(text: string | undefined, base: string): string | null {
  if (text === undefined) return null
  const url = URL.parse(text, base)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.href.length > maxAddress) return null
  url.hash = ''
  return url.href
}

/**
 * What would reorder, hide or break the text around it: controls, the marks of direction, what is not seen at all. The
 * joiners that emoji and some scripts are written with stay.
 */
const unwanted =
  /[\p{Cc}\p{Co}\p{Cn}\p{Cs}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffd]+/gu

/** One line of text to be shown, at most `max` code points long. */
function cleaned(text: string, max: number): string {
  const line = text.replace(unwanted, ' ').replace(/\s+/g, ' ').trim()
  const short = firstCodePoints(line, max + 1)
  return short === line && Array.from(short).length <= max ? line : `${firstCodePoints(line, max - 1).trimEnd()}…`
}
