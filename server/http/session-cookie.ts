const name = 'maru_session'

/** What an earlier version set it for. */
const earlierPath = '/graphql'

/** The access token in a `Cookie` header, if there is one. */
export function readSessionCookie(header: string | undefined): string | null {
  const pairs = (header?.split(';') ?? []).map((pair) => pair.split('='))
  // Browsers send first what is for fewer paths, which an earlier version set.
  const last = pairs.findLast(([key]) => key?.trim() === name)
  return last?.slice(1).join('=').trim() || null
}

/**
 * The `Set-Cookie` headers that keep a browser tab signed in, out of reach of scripts and of other sites. One of an
 * earlier version's, beside it, would sign somebody in once this one is gone.
 */
export function sessionCookies(token: string, expiresAt: Date, secure: boolean): string[] {
  // Not `Expires`: the browser's clock may be wrong.
  const maxAge = Math.max(0, Math.floor((expiresAt.getTime() - Date.now()) / 1_000))
  const cookie = (value: string, path: string, seconds: number) =>
    `${name}=${value}; Path=${path}; HttpOnly; SameSite=Strict; Max-Age=${seconds}${secure ? '; Secure' : ''}`
  // For the pages of short links, too.
  return [cookie(token, '/', maxAge), cookie('', earlierPath, 0)]
}

/** The `Set-Cookie` headers that sign it out. */
export const endedSessionCookies = (secure: boolean): string[] => sessionCookies('', new Date(0), secure)
