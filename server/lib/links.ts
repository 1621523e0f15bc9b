import { LinkifyIt } from 'linkify-it'
import tlds from 'tlds' with { type: 'json' }

/** Links of one message that are opened: more would be a wall of pictures. */
const maxLinks = 3

/** Characters of a link that is opened, as long as any that a browser copes with everywhere. */
const maxLinkLength = 2_048

/** Only what says http or https: whether `end.of` is a link or the end of a sentence, nobody knows. */
const linkify = new LinkifyIt({ fuzzyEmail: false, urlAuth: true, maxLength: maxLinkLength + 1 })
for (const schema of ['ftp:', 'mailto:', '//']) linkify.add(schema, null)

const topLevel = new Set(tlds)

/** Scripts that are written without spaces, or whose particles follow a word without one. */
const joined = String.raw`\p{Script=Hangul}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}`

const linkAfterWord = new RegExp(`(?<=[${joined}])(?=https?://)`, 'giu')

/** Such text at the end of a link that was Latin up to there: `…/a에서` goes on in Korean, `…/wiki/마루` does not. */
const wordAfterLink = new RegExp(`(?<=[A-Za-z0-9])[${joined}]+$`, 'u')

/** The same right after the host: a page may be called 마루, but none is called 에서. */
const particleAfterHost = /(?<=^https?:\/\/[^/]+\/)(?:에서|에게|에는|에도|으로|로|에|은|는|이|가|을|를|의|와|과|도|만)$/iu

/**
 * The links of a message that a preview is made for: the first three different http(s) addresses in their order, as URL
 * spells them. A link within backticks is code, and one in angle brackets (`<https://…>`) wants no preview. Text that
 * follows a link without a space, as Korean particles do, is not part of it. Addresses that differ in their fragment
 * only are one.
 */
export function findLinks(content: string): string[] {
  if (!/https?:\/\//i.test(content)) return []
  const text = withoutCode(content)
    .replace(/<https?:\/\/[^\s<>]*>/gi, ' ')
    .replace(linkAfterWord, ' ')
  const links = new Map<string, string>()
  for (const { raw } of linkify.match(text) ?? []) {
    const url = raw.length > maxLinkLength ? null : URL.parse(withoutWord(raw))
    // Who writes a password into a message need not have it sent somewhere, too.
    if (url === null || url.href.length > maxLinkLength || url.username !== '' || url.password !== '') continue
    const address = pageOf(url.href)
    if (!links.has(address)) links.set(address, url.href)
    if (links.size === maxLinks) break
  }
  return [...links.values()]
}

/** What is asked for where a link points: the address without its fragment. */
export function pageOf(link: string): string {
  const end = link.indexOf('#')
  return end === -1 ? link : link.slice(0, end)
}

/** A link without what is said after it. */
function withoutWord(raw: string): string {
  const [, start, host, rest] = /^(https?:\/\/)([^/?#]*)(.*)$/isu.exec(raw) ?? ['', '', raw, '']
  if (rest !== '') return raw.replace(wordAfterLink, '').replace(particleAfterHost, '')
  const labels = host!.split('.')
  const last = labels.pop()!
  // A name may end in Korean too: .한국 and .닷컴 are domains like any other.
  return start! + [...labels, topLevel.has(last.toLowerCase()) ? last : last.replace(wordAfterLink, '')].join('.')
}

/**
 * Text without what stands between backticks, as in CommonMark: as many as open it close it, and a fence that is not
 * closed goes on to the end.
 */
function withoutCode(text: string): string {
  const runs = [...text.matchAll(/`+/g)]
  const lastOf = new Map<number, number>()
  const closes = runs.map((): number | undefined => undefined)
  for (let place = runs.length - 1; place >= 0; place--) {
    const { length } = runs[place]![0]
    closes[place] = lastOf.get(length)
    lastOf.set(length, place)
  }
  let kept = ''
  let from = 0
  for (let place = 0; place < runs.length; place++) {
    const { 0: run, index } = runs[place]!
    const close = closes[place]
    const isFence = run.length >= 3 && /(?:^|\n) {0,3}$/.test(text.slice(Math.max(0, index - 4), index))
    if (close === undefined && !isFence) continue
    kept += `${text.slice(from, index)} `
    if (close === undefined) return kept
    from = runs[close]!.index + run.length
    place = close
  }
  return kept + text.slice(from)
}
