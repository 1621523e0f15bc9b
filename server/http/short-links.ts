import type { IncomingMessage, ServerResponse } from 'node:http'
import { expectedFailure } from '../errors.ts'
import type { ShortLinksService, ShortLinkTarget } from '../domain/short-links.ts'
import { channelGlobalId, messageGlobalId } from '../lib/global-id.ts'
import { isShortCode } from '../lib/short-codes.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { snowflakeTime } from '../message-store/snowflake.ts'
import type { Authenticate } from './authentication.ts'
import { contentSecurityPolicy, oneLine, type Page, renderPage, wrote } from './short-links-page.ts'
import { type Language, languageOf, pageTexts, type PageTexts } from './short-links-texts.ts'
import { isFromElsewhere, isVisit, visitorOf } from './short-links-visitor.ts'

export type ShortLinkPagesOptions = {
  links: Pick<ShortLinksService, 'find' | 'follow' | 'noteVisit' | 'url'>
  users: { findMany(ids: readonly string[]): Promise<{ displayName: string }[]> }
  settings: { find(userId: string): Promise<{ timeZone: string }> }
  authenticate: Authenticate
  /** Where the app is opened; null where there is none to open. */
  appUrl: string | null
}

/**
 * Answers a request below `/i/` or `/m/`. Rejects with what is no failure to be expected. `wait` is asked once it is known
 * who has come, and says how many milliseconds they have to wait as they have come too often, or null.
 */
export type ShortLinkPages = (request: IncomingMessage, response: ServerResponse, wait: Wait) => Promise<void>

type Wait = (viewer: { userId: string } | null) => Promise<number | null>

type Kind = ShortLinkTarget['kind']

/** What kind of short link a path is the address of, whether or not there is one; null for any other path. */
export function shortLinkKind(path: string | undefined): Kind | null {
  if (path?.startsWith('/i/')) return 'INVITE'
  return path?.startsWith('/m/') ? 'MESSAGE' : null
}

/**
 * The pages of short links, without scripts: for people who have no app, and for the programs that make previews of
 * links. A page says no more than whoever opens it may see: of a message, to all who may not read it, the same whether
 * it is there or not.
 */
export function createShortLinkPages(options: ShortLinkPagesOptions): ShortLinkPages {
  const { links, users, settings, authenticate, appUrl } = options
  /** A scheme of an app's own leads nowhere, without a word, where the app is not installed: that is for who presses it. */
  const isWeb = appUrl !== null && /^https?:/i.test(appUrl)
  const nameOf = async (userId: string) => wrote((await users.findMany([userId]))[0]?.displayName ?? '')

  /** What the app is opened with. */
  function inApp(parameters: Record<string, string>): string | null {
    const url = appUrl === null ? null : new URL(appUrl)
    for (const [name, value] of Object.entries(parameters)) url?.searchParams.set(name, value)
    return url?.href ?? null
  }

  const inAppAt = (target: ShortLinkTarget) =>
    target.kind === 'INVITE'
      ? inApp({ invite: target.code })
      : inApp({
          channel: channelGlobalId(target.channel.id),
          message: messageGlobalId(target.channel.id, target.message.id),
        })

  const button = (href: string | null, language: Language): Pick<Page, 'link'> =>
    href === null ? {} : { link: { href, label: pageTexts[language].open } }

  async function invitePage(target: Extract<ShortLinkTarget, { kind: 'INVITE' }>, language: Language): Promise<Page> {
    const texts = pageTexts[language]
    const { name, topic, memberCount } = target.channel
    const title = texts.inviteTitle(name === null ? texts.unnamed : wrote(name))
    const said = [texts.invitedBy(await nameOf(target.invite.createdBy)), texts.members(memberCount)]
    const href = inAppAt(target)
    return {
      language,
      title,
      lines: [said.join(' · ')],
      ...(topic === null ? {} : { text: topic }),
      ...(href === null ? { hint: texts.inviteHint } : {}),
      ...button(href, language),
      card: {
        title,
        description: [said.join(' · '), ...(topic === null ? [] : [oneLine(topic)])].join(' — '),
        url: links.url('INVITE', target.code),
      },
    }
  }

  /** The page of a message that the visitor may read. Its card is everybody's: cards are made to be shown to others. */
  async function messagePage(
    { message, channel, ...target }: Extract<ShortLinkTarget, { kind: 'MESSAGE' }>,
    visitorId: string,
    language: Language,
  ): Promise<Page> {
    const texts = pageTexts[language]
    const [author, { timeZone }] = await Promise.all([nameOf(message.authorId), settings.find(visitorId)])
    const at = snowflakeTime(message.id)
    const shown = new Intl.DateTimeFormat(language, { dateStyle: 'long', timeStyle: 'short', timeZone }).format(at)
    return {
      language,
      title: author,
      lines: channel.name === null ? [] : [wrote(channel.name)],
      time: { at, shown },
      text: textOf(message, texts),
      ...button(inAppAt({ message, channel, ...target }), language),
      card: closedPage(null, language, false).card,
    }
  }

  /** The page of a message, or of none, to all who may not read it: made of what they have asked alone. */
  function closedPage(code: string | null, language: Language, isElsewhere: boolean): Page {
    const texts = pageTexts[language]
    const href = code === null ? null : inApp({ link: code })
    // An empty address is the page itself, opened from here, so that the browser sends the cookie along.
    const again = isElsewhere ? { link: { href: '', label: texts.again, isQuiet: true } } : {}
    return {
      language,
      title: texts.messageTitle,
      lines: [texts.messageBody],
      ...(href === null ? again : button(href, language)),
      card: { title: texts.messageTitle, description: texts.messageBody, url: null },
    }
  }

  function plainPage(language: Language, title: string, body: string): Page {
    return { language, title, lines: [body], card: { title, description: body, url: null } }
  }

  async function answer(request: IncomingMessage, response: ServerResponse, wait: Wait, language: Language): Promise<void> {
    const { method, headers } = request
    const texts = pageTexts[language]
    const visitorId = await visitorOf(headers, authenticate)
    if ((await wait(visitorId === null ? null : { userId: visitorId })) !== null) {
      return send(response, 429, plainPage(language, texts.oftenTitle, texts.oftenBody))
    }
    const [, , code = ''] = request.url!.split('?')[0]!.split('/')
    const kind = shortLinkKind(request.url)!
    const known = isShortCode(code)
    const found = known ? await links.find(code) : null
    const link = found?.kind === kind ? found : null
    const target = link && (await links.follow(visitorId, link))
    // Of an invite that is no longer good, too: how often it is still tried is worth knowing.
    if (link !== null && isVisit(method, headers)) links.noteVisit(code)
    const address = target && visitorId !== null ? inAppAt(target) : null
    if (address !== null && isWeb) return void response.writeHead(302, { ...pageHeaders, location: address }).end()
    if (target?.kind === 'INVITE') return send(response, 200, await invitePage(target, language))
    if (target?.kind === 'MESSAGE') return send(response, 200, await messagePage(target, visitorId!, language))
    if (kind === 'INVITE') return send(response, 404, plainPage(language, texts.staleTitle, texts.staleBody))
    send(response, 200, closedPage(known ? code : null, language, isFromElsewhere(headers)))
  }

  return async (request, response, wait) => {
    request.resume()
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end()
      return
    }
    const language = languageOf(request.headers['accept-language'])
    try {
      await answer(request, response, wait, language)
    } catch (error) {
      if (expectedFailure(error) === null) throw error
      const { laterTitle, laterBody } = pageTexts[language]
      response.setHeader('retry-after', '1')
      send(response, 503, plainPage(language, laterTitle, laterBody))
    }
  }
}

/** What a message says, or what it stands for where it says nothing: an attachment, or something that has happened. */
function textOf({ kind, content, deletedAt }: MessageRow, texts: PageTexts): string {
  if (deletedAt !== null) return texts.deleted
  return content === '' ? texts.silent[kind] : content
}

/** What is on a page is for this visitor now, and the next may see something else. */
const pageHeaders = {
  'cache-control': 'private, no-store',
  'x-robots-tag': 'noindex',
  vary: 'accept-language, authorization, cookie',
}

function send(response: ServerResponse, status: number, page: Page): void {
  const html = renderPage(page)
  response.writeHead(status, {
    ...pageHeaders,
    'content-type': 'text/html; charset=utf-8',
    'content-length': html.length,
    'content-security-policy': contentSecurityPolicy,
    'content-language': page.language,
  })
  // Of a HEAD request Node sends the head alone.
  response.end(html)
}
