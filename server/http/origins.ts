import type { IncomingHttpHeaders } from 'node:http'

/** Decides which web pages may talk to the server. */
export type Origins = {
  /** Whether a page of this origin may use the API at all; programs that are no pages send no origin and may. */
  isAllowed(headers: IncomingHttpHeaders): boolean
  /** Whether the browser vouches that the request comes from a page that this server itself has served. */
  isOwnPage(headers: IncomingHttpHeaders): boolean
  /** The response headers that let an allowed page of another origin read the answer. */
  corsHeaders(headers: IncomingHttpHeaders): Record<string, string>
  /** The answer to a browser that asks beforehand whether it may send a request. */
  preflightHeaders(headers: IncomingHttpHeaders): Record<string, string>
}

/**
 * The rules for a deployment: its own origin, by the `Host` that the request names or by its public address, and those
 * in `corsOrigins`, compared exactly. No origin is ever allowed because it asks. Other origins are never asked for
 * credentials: they sign in by token, and the cookie is for the server's own page.
 */
export function createOrigins(publicUrl: string | null, corsOrigins: string[]): Origins {
  const publicOrigin = publicUrl === null ? null : new URL(publicUrl).origin
  const listed = new Set(corsOrigins)

  const isOwn = (origin: string, headers: IncomingHttpHeaders) =>
    origin === publicOrigin || (headers.host !== undefined && hostOf(origin) === headers.host)

  function corsHeaders(headers: IncomingHttpHeaders): Record<string, string> {
    if (headers.origin === undefined || !listed.has(headers.origin)) return {}
    return {
      'access-control-allow-origin': headers.origin,
      'access-control-expose-headers': 'x-request-id, retry-after, ratelimit, ratelimit-policy',
    }
  }

  return {
    isAllowed(headers) {
      return headers.origin === undefined || listed.has(headers.origin) || isOwn(headers.origin, headers)
    },

    isOwnPage(headers) {
      // Old browsers, and all where the address is neither https nor localhost, send no Sec-Fetch-Site; then the origin
      // must do, which browsers send with each POST and each upgrade.
      const site = headers['sec-fetch-site']
      if (site !== undefined && site !== 'same-origin') return false
      return headers.origin === undefined ? site === 'same-origin' : isOwn(headers.origin, headers)
    },

    corsHeaders,

    preflightHeaders(headers) {
      const allowed = corsHeaders(headers)
      if (!('access-control-allow-origin' in allowed)) return {}
      return {
        ...allowed,
        'access-control-allow-methods': 'GET, POST, OPTIONS',
        // Client libraries send headers of their own. The asterisk stands for all but this one.
        'access-control-allow-headers': 'authorization, *',
        // Chromium keeps it for two hours at most.
        'access-control-max-age': '7200',
      }
    },
  }
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host
  } catch {
    return null
  }
}
