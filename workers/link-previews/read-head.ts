import { Tokenizer } from 'htmlparser2'

/** What stands in the head of a page. */
export type HeadHandler = {
  /** A `meta` or `base`, with those of its attributes that are of use. */
  onTag(name: string, attributes: ReadonlyMap<string, string>): void
  /** A piece of what stands in the first `title` that is not empty; as many pieces as it takes. */
  onTitle(text: string): void
}

/** Reads HTML as it comes in, no further than to the end of its head. */
export type HeadReader = {
  /** Takes the next piece; true: the head is over, and no more is wanted. */
  write(piece: string): boolean
  /** There is no more. */
  end(): void
}

/** Elements that hold nothing. */
const voids = ['base', 'basefont', 'bgsound', 'link', 'meta']

/** Elements that hold text, or what is text to a browser that runs scripts, or what is not shown. */
const holders = new Set(['title', 'script', 'style', 'noframes', 'noscript', 'template'])

/** What may stand in a head: HTML, section 13.2.6.4.4. Whatever else begins is in the body, whether or not it says so. */
const ofHead = new Set(['html', 'head', ...voids, ...holders])

/** End tags that end the head; others there are mistakes that mean nothing. */
const endsHead = new Set(['head', 'body', 'html', 'br'])

const wantedAttributes = new Set(['property', 'name', 'content', 'href'])

/** UTF-16 units of the longest name of an element or attribute that is of use. */
const maxName = 10

/** UTF-16 units of one attribute that are worth reading. */
export const maxValue = 10_000

const isBlank = (text: string) => text.trim() === ''

/**
 * Reads a head by its tokens, without a tree: it remembers which element it is in, and nothing of what was before, so
 * that it takes as long as the page, and no page can make it take longer.
 */
export function createHeadReader(handler: HeadHandler): HeadReader {
  // Tokens are told by where they are in all that was written; `text` is what may still be asked for, from `offset` on.
  let text = ''
  let offset = 0
  let used = 0
  let isOver = false
  /** The element whose text this is. */
  let inside: string | null = null
  /** Templates within one another. */
  let depth = 0
  let title: 'none' | 'this' | 'told' = 'none'
  let tag = ''
  const attributes = new Map<string, string>()
  let attribute: string | null = null
  let value = ''

  function slice(start: number, end: number, max = Infinity): string {
    used = Math.max(used, end)
    return text.slice(start - offset, Math.min(end, start + max) - offset)
  }
  const nameAt = (start: number, end: number) => (end - start > maxName ? '' : slice(start, end).toLowerCase())

  function stop() {
    isOver = true
    tokenizer.pause()
  }

  function onText(get: () => string) {
    if (inside === null && !isBlank(get())) stop()
    if (inside !== 'title' || title === 'told') return
    title = 'this'
    handler.onTitle(get())
  }

  function onTagEnd() {
    if (inside === 'template' && tag === 'template') depth++
    if (inside !== null) return
    if (holders.has(tag)) inside = tag
    else if (tag === 'meta' || tag === 'base') handler.onTag(tag, attributes)
  }

  const tokenizer = new Tokenizer(
    {},
    {
      onopentagname(start, end) {
        tag = nameAt(start, end)
        if (inside === null && !ofHead.has(tag)) stop()
        attributes.clear()
      },
      onattribname(start, end) {
        const name = inside === null && (tag === 'meta' || tag === 'base') ? nameAt(start, end) : ''
        // The first of a name counts.
        attribute = wantedAttributes.has(name) && !attributes.has(name) ? name : null
        value = ''
      },
      onattribdata(start, end) {
        if (attribute !== null && value.length < maxValue) value += slice(start, end, maxValue)
      },
      onattribentity(codePoint) {
        if (attribute !== null && value.length < maxValue) value += String.fromCodePoint(codePoint)
      },
      onattribend(_, end) {
        used = Math.max(used, end)
        if (attribute !== null) attributes.set(attribute, value)
        attribute = null
      },
      onopentagend: onTagEnd,
      // HTML knows no such thing, outside what ends the head anyway.
      onselfclosingtag: onTagEnd,
      onclosetag(start, end) {
        const name = nameAt(start, end)
        if (inside === null && endsHead.has(name)) stop()
        else if (name === 'template' && depth > 0) depth--
        else if (name === inside) {
          if (title === 'this') title = 'told'
          inside = null
        }
      },
      ontext: (start, end) => onText(() => slice(start, end)),
      ontextentity: (codePoint) => onText(() => String.fromCodePoint(codePoint)),
      oncomment: (_, end) => void (used = Math.max(used, end)),
      oncdata: (_, end) => void (used = Math.max(used, end)),
      ondeclaration: (_, end) => void (used = Math.max(used, end)),
      onprocessinginstruction: (_, end) => void (used = Math.max(used, end)),
      onend: () => undefined,
    },
  )

  return {
    write(piece) {
      if (isOver) return true
      if (used > offset) {
        text = text.slice(used - offset)
        offset = used
      }
      text += piece
      tokenizer.write(piece)
      return isOver
    },
    end() {
      if (!isOver) tokenizer.end()
    },
  }
}
