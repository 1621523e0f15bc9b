import { createHash } from 'node:crypto'
import { firstCodePoints } from '../lib/text.ts'
import type { Language } from './short-links-texts.ts'

/** What a page holds. Nothing of it is HTML, whoever has written it. */
export type Page = {
  language: Language
  /** Own words, with `wrote` around whatever somebody has written. */
  title: string
  /** Lines of small print, likewise. */
  lines?: string[]
  /** What somebody has written, as it is: a topic or a message. */
  text?: string
  /** When that was, as the visitor's clock says it. */
  time?: { at: Date; shown: string }
  /** What to do about it, in own words. */
  hint?: string
  /** What can be pressed: the app, or this page once more. */
  link?: { href: string; label: string; isQuiet?: boolean }
  /** What previews elsewhere show: of an invite what it is, of a message nothing. In the same words for everybody. */
  card: { title: string; description: string; url: string | null }
}

/** Longer topics and messages are cut: a card shows less, and a page leads to where all of it is. Code points. */
const maxText = 400

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character]!)

/** What opens or ends an embedding, an override or an isolate (UAX #9): in a name it could turn what follows. */
const bidiControls = /[\u202a-\u202e\u2066-\u2069]/g

/**
 * A text of somebody's as it stands within a line of ours, whatever its direction: between characters that isolate it,
 * which work where no element can stand.
 */
export function wrote(text: string): string {
  const line = text.replaceAll(bidiControls, '').replaceAll(/\s+/g, ' ').trim()
  return `\u2068${line}\u2069`
}

const shorten = (text: string): string => {
  const short = firstCodePoints(text, maxText)
  return short.length < text.length ? `${short.trimEnd()}…` : text
}

/** A text of several lines as a card has it. */
export const oneLine = (text: string): string => wrote(shorten(text))

const style = `body { font: 1.05rem/1.5 system-ui, sans-serif }
body { max-width: 30rem; margin: 16vh auto 4rem; padding: 0 1.5rem }
body { color: #222; background: #fff; word-break: keep-all; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .6rem }
p { margin: .3rem 0 } .small { color: #666 } .text { margin: 1.2rem 0; white-space: pre-line }
a { display: inline-block; margin-top: 1.6rem; color: #1a5fb4 }
a.button { padding: .6rem 2rem; border-radius: .4rem; background: #1a5fb4; color: #fff; text-decoration: none }
@media (prefers-color-scheme: dark) {
  body { background: #1c1c1c; color: #eee } .small { color: #aaa } a { color: #8ab4f8 }
}`

/** Nothing but its own style: no script, no picture, no form, and no frame around it. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const locales: Record<Language, string> = { en: 'en_US', ko: 'ko_KR' }

/** The HTML of a page, in UTF-8. Whatever is in it, it holds no element and no attribute but its own. */
export function renderPage({ language, title, lines = [], text, time, hint, link, card }: Page): Buffer {
  const meta = (attribute: 'name' | 'property', name: string, content: string) =>
    `<meta ${attribute}="${name}" content="${escape(content)}">`
  const parts = [
    '<!doctype html>',
    `<html lang="${language}">`,
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width">',
    `<title>${escape(title)}</title>`,
    meta('name', 'robots', 'noindex'),
    meta('name', 'description', card.description),
    meta('property', 'og:type', 'website'),
    meta('property', 'og:locale', locales[language]),
    meta('property', 'og:title', card.title),
    meta('property', 'og:description', card.description),
    ...(card.url === null ? [] : [meta('property', 'og:url', card.url)]),
    meta('name', 'twitter:card', 'summary'),
    meta('name', 'twitter:title', card.title),
    meta('name', 'twitter:description', card.description),
    `<style>${style}</style>`,
    `<h1>${escape(title)}</h1>`,
    ...lines.map((line) => `<p class="small">${escape(line)}</p>`),
    ...(time === undefined
      ? []
      : [`<p class="small"><time datetime="${time.at.toISOString()}">${escape(time.shown)}</time></p>`]),
    ...(text === undefined
      ? []
      : [`<p class="text" dir="auto"><bdi>${escape(shorten(text.replaceAll(bidiControls, '')))}</bdi></p>`]),
    ...(hint === undefined ? [] : [`<p class="small">${escape(hint)}</p>`]),
    ...(link === undefined
      ? []
      : [`<a${link.isQuiet === true ? '' : ' class="button"'} href="${escape(link.href)}">${escape(link.label)}</a>`]),
    '</html>',
    '',
  ]
  return Buffer.from(parts.join('\n'))
}
