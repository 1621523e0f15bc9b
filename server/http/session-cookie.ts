const name = 'maru_session'

/** The access token in a `Cookie` header, if there is one. */
export function readSessionCookie(header: string | undefined): string | null {
  for (const pair of header?.split(';') ?? []) {
    const separator = pair.indexOf('=')
    if (pair.slice(0, separator).trim() === name) return pair.slice(separator + 1).trim() || null
  }
  return null
}

/** The `Set-Cookie` that keeps a browser tab signed in: out of reach of scripts and of other sites. */
export function sessionCookie(token: string, expiresAt: Date, secure: boolean): string {
  // Not `Expires`: the browser's clock may be wrong.
  const maxAge = Math.max(0, Math.floor((expiresAt.getTime() - Date.now()) / 1_000))
  const attributes = `Path=/graphql; HttpOnly; SameSite=Strict; Max-Age=${maxAge}`
  return `${name}=${token}; ${attributes}${secure ? '; Secure' : ''}`
}

/** The `Set-Cookie` that signs it out. */
export function endedSessionCookie(secure: boolean): string {
  return sessionCookie('', new Date(0), secure)
}
