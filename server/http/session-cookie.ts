const name = 'maru_session'

/** The access token in a `Cookie` header, if there is one. */
export function readSessionCookie(header: string | undefined): string | null {
  const pairs = (header?.split(';') ?? []).map((pair) => pair.split('='))
  // Browsers send first what is for fewer paths, which an earlier version set.
  const last = pairs.findLast(([key]) => key?.trim() === name)
  return last?.slice(1).join('=').trim() || null
}

/** The `Set-Cookie` that keeps a browser tab signed in: out of reach of scripts and of other sites. */
export function sessionCookie(token: string, expiresAt: Date, secure: boolean): string {
  // Not `Expires`: the browser's clock may be wrong.
  const maxAge = Math.max(0, Math.floor((expiresAt.getTime() - Date.now()) / 1_000))
  // For the pages of short links, too.
  const attributes = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAge}`
  return `${name}=${token}; ${attributes}${secure ? '; Secure' : ''}`
}

/** The `Set-Cookie` that signs it out. */
export function endedSessionCookie(secure: boolean): string {
  return sessionCookie('', new Date(0), secure)
}
