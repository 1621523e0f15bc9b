import type { IncomingHttpHeaders } from 'node:http'
import { type Authenticate, bearerToken, isRefusal } from './authentication.ts'
import { readSessionCookie } from './session-cookie.ts'

/**
 * Who is signed in on the browser that opens a page, or null: by a token, or by the cookie of the server's own page.
 * The cookie counts where somebody opens the page itself, and not where another site puts it into one of its own.
 */
export async function visitorOf(headers: IncomingHttpHeaders, authenticate: Authenticate): Promise<string | null> {
  const token = bearerToken(headers.authorization) ?? (isOpened(headers) ? readSessionCookie(headers.cookie) : null)
  if (token === null) return null
  try {
    return (await authenticate(token)).userId
  } catch (error) {
    if (isRefusal(error)) return null
    throw error
  }
}

/** Browsers that do not say where a request comes from do not send the cookie from other sites either. */
function isOpened(headers: IncomingHttpHeaders): boolean {
  const { 'sec-fetch-site': site, 'sec-fetch-dest': destination } = headers
  if (destination !== undefined && destination !== 'document') return false
  return site === undefined || site === 'none' || site === 'same-origin'
}

/** Whether the visitor has followed a link on another site, so that the browser has kept the cookie back. */
export const isFromElsewhere = ({ 'sec-fetch-site': site }: IncomingHttpHeaders): boolean =>
  site === 'cross-site' || site === 'same-site'

/**
 * What programs call themselves that fetch a link to show what is behind it, to index it or to check it: nearly all by
 * one of the words of the first line. `facebookexternalhit` is in what KakaoTalk, LINE and iMessage say, too; browsers
 * within apps (KAKAOTALK, FBAN, Instagram) are people's. A phone is called Cubot.
 */
const programs = [
  /(?<!cu)bot(?![a-z])|crawl|spider|scrap|preview|fetch|monitor|scan|headless|lighthouse/i,
  /facebookexternalhit|whatsapp|embedly|iframely|yeti|daum\/|vkshare/i,
  /curl|wget|python|libwww|go-http|java\/|okhttp|axios|^node/i,
]

/** Whether a request is somebody's visit, and not a program's, nor a browser's that fetches what may be opened. */
export function isVisit(method: string | undefined, headers: IncomingHttpHeaders): boolean {
  const agent = headers['user-agent'] ?? ''
  const purpose = `${String(headers['sec-purpose'] ?? '')} ${String(headers.purpose ?? '')}`
  if (method !== 'GET' || /prefetch|prerender|preview/i.test(purpose)) return false
  return agent !== '' && !programs.some((program) => program.test(agent))
}
