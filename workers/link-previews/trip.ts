import type { Tour } from './hosts.ts'

/** What one link may take, with all that is asked for on the way. */
export type Trip = {
  tour: Tour
  signal: AbortSignal | undefined
  /** Milliseconds for the next request: `ms`, or as much as is left. */
  timeFor(ms: number): number
}

/**
 * How long opening one link may take, in milliseconds: rules, a page and a picture that are all as slow as they may be.
 * Whoever makes their redirects slow as well has nothing to show.
 */
const tripMs = 30_000

/** Redirects of a link or a picture: one to https, one to www, one from a shortener. */
export const maxRedirects = 3

/** UTF-16 units of an address that is asked for, as for links in messages. */
const maxAddress = 2_048

/** Sets out. */
export function startTrip(signal?: AbortSignal): Trip {
  const end = performance.now() + tripMs
  return { tour: new Map(), signal, timeFor: (ms) => Math.max(1, Math.min(ms, Math.floor(end - performance.now()))) }
}

/** Where an answer sends whoever asked `url`; null where it does not, or it cannot be read. */
export function redirectOf(url: string, { status, headers }: { status: number; headers: Headers }): URL | null {
  const location = status >= 300 && status < 400 ? headers.get('location') : null
  return location === null ? null : URL.parse(location, url)
}

/** Whether it may be asked for at all, as far as its spelling says. */
export const isAskable = (url: URL): boolean => /^https?:$/.test(url.protocol) && url.href.length <= maxAddress
