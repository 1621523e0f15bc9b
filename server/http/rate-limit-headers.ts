import type { Kind } from '../rate-limits/kinds.ts'
import type { Standing } from '../rate-limits/rate-limits.ts'

export type Headers = Record<string, string>

/**
 * The limits that an operation touched, and how they stand, as `RateLimit-Policy` and `RateLimit` of
 * draft-ietf-httpapi-ratelimit-headers-11 (lists of RFC 9651, with names as strings). A bucket is told as what it holds
 * (`q`) within the seconds in which an empty one fills (`w`): that much may come at once, and no more in the long run. `r`
 * is what is left, `t` the seconds until there is one more. Of several buckets of one kind it is the emptiest.
 */
export function rateLimitHeaders(standings: readonly Standing[]): Headers {
  const byKind = new Map<Kind, Standing>()
  for (const standing of standings) {
    const other = byKind.get(standing.kind)
    if (other === undefined || standing.remaining < other.remaining) byKind.set(standing.kind, standing)
  }
  const all = [...byKind.values()]
  if (all.length === 0) return {}
  const name = ({ kind }: Standing) => `"${kind.toLowerCase().replaceAll('_', '-')}"`
  const seconds = (ms: number) => Math.max(1, Math.ceil(ms / 1_000))
  return {
    'ratelimit-policy': all.map((one) => `${name(one)};q=${one.rule.capacity};w=${seconds(one.rule.fillMs)}`).join(', '),
    ratelimit: all.map((one) => `${name(one)};r=${one.remaining};t=${seconds(one.nextMs)}`).join(', '),
  }
}
