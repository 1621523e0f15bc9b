import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { expectedFailure } from '../errors.ts'
import { type MailLink, type MailLinkPurpose, type MailLinks, mailPaths } from '../lib/mail-links.ts'
import { pageTexts } from './mail-links-texts.ts'

export type MailPagesOptions = {
  links: Pick<MailLinks, 'read'>
  settings: {
    find(userId: string): Promise<{ locale: string }>
    confirmAddress(userId: string, addressKey: string): Promise<boolean>
    stopMail(userId: string, addressKey: string): Promise<void>
  }
}

/** Answers a request to one of `mailPaths`. Rejects with what is no failure to be expected. */
export type MailPages = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** What a path of `mailPaths` is for; null for any other path. */
export function mailPurpose(path: string | undefined): MailLinkPurpose | null {
  if (path === mailPaths.verify) return 'verify'
  return path === mailPaths.unsubscribe ? 'unsubscribe' : null
}

/** Ours have some 200 characters. */
const maxToken = 1_000

/**
 * The pages that links in mails lead to. What fetches every link of a mail before anybody has read it, as scanners do,
 * only sees a page with a button, and nothing happens before that is pressed. Mail programs with a button of their own
 * post at once to the same address (RFC 8058). However often it is pressed, it is the same.
 */
export function createMailPages({ links, settings }: MailPagesOptions): MailPages {
  /** Does what the link is for; false where the address is no longer the user's. */
  async function act(purpose: MailLinkPurpose, { userId, addressKey }: MailLink): Promise<boolean> {
    if (purpose === 'verify') return settings.confirmAddress(userId, addressKey)
    await settings.stopMail(userId, addressKey)
    return true
  }

  return async (request, response) => {
    const { method, url } = request
    const { pathname, searchParams } = new URL(url!, 'http://localhost')
    const purpose = mailPurpose(pathname)!
    // What a one-click button posts says nothing that the address does not.
    request.resume()
    if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') {
      response.writeHead(405, { allow: 'GET, HEAD, POST' }).end()
      return
    }
    let language = languageOf(request.headers['accept-language'])
    try {
      const link = await links.read((searchParams.get('token') ?? '').slice(0, maxToken), purpose)
      if (link !== null) language = languageOf((await settings.find(link.userId)).locale)
      const texts = pageTexts[language]
      if (link === null) return send(response, 410, language, { title: texts.stale, body: texts.staleBody })
      if (method !== 'POST') return send(response, 200, language, texts[purpose])
      if (await act(purpose, link)) return send(response, 200, language, texts[purpose].done)
      send(response, 410, language, { title: texts.stale, body: texts.staleBody })
    } catch (error) {
      if (expectedFailure(error) === null) throw error
      const texts = pageTexts[language]
      send(response, 503, language, { title: texts.later, body: texts.laterBody })
    }
  }
}

/** The language of a page: that of the first tag of a list, as far as there are texts in it. */
const languageOf = (tags: string | undefined): keyof typeof pageTexts => (/^\s*ko\b/i.test(tags ?? '') ? 'ko' : 'en')

const style = `body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 20vh auto; padding: 0 1.5rem }
body { word-break: keep-all }
h1 { font-size: 1.4rem }
button { font: inherit; padding: .6rem 1.4rem; border: 0; border-radius: .4rem; background: #1a5fb4; color: #fff }
@media (prefers-color-scheme: dark) { body { background: #1c1c1c; color: #eee } }`

/** Nothing but its own style and its own form: the token is in the address, and must not leave with anything. */
const contentSecurityPolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Nothing on the page comes from a user. */
function send(
  response: ServerResponse,
  status: number,
  language: string,
  { title, body, button }: { title: string; body: string; button?: string },
): void {
  const form = button === undefined ? '' : `<form method="post"><button>${button}</button></form>`
  const html = Buffer.from(`<!doctype html>
<html lang="${language}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>${style}</style>
<h1>${title}</h1>
<p>${body}</p>
${form}
</html>
`)
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-length': html.length,
    'content-security-policy': contentSecurityPolicy,
    'cache-control': 'no-store',
    'x-robots-tag': 'noindex',
  })
  response.end(html)
}
