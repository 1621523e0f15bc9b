import { BlockList, isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { z } from 'zod'

/**
 * Whose word is taken on where a request came from: so many proxies, one behind the other, or those of these addresses.
 * Null for nobody's.
 */
export type TrustedProxies = number | BlockList | null

/** As many as anybody puts in a row. */
const maxHops = 10

/** The text of TRUST_PROXY: a number of proxies, or addresses and networks with commas between them. */
export const trustedProxies = () =>
  z
    .string()
    .transform(readProxies)
    .refine((proxies) => proxies !== undefined, {
      error: `must be a number of proxies from 1 to ${maxHops}, or their addresses with commas between them, such as 10.0.0.0/8,::1`,
    })
    .transform((proxies) => proxies!)

function readProxies(text: string): number | BlockList | undefined {
  if (/^\d+$/.test(text)) return Number(text) >= 1 && Number(text) <= maxHops ? Number(text) : undefined
  const list = new BlockList()
  for (const part of text.split(',').map((each) => each.trim())) {
    const [address = '', bits, ...rest] = part.split('/')
    const family = isIP(address)
    const most = family === 4 ? 32 : 128
    if (family === 0 || rest.length > 0) return undefined
    if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= most)) return undefined
    list.addSubnet(address, bits === undefined ? most : Number(bits), family === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}

/**
 * Where a request came from. `remote` is who connected here; `forwarded` is what `X-Forwarded-For` says: each proxy adds at
 * the end whom it was asked by, so that it is read from the end, for as far as whoever wrote it is trusted. What stands
 * before that is the client's own word. What is no address ends the reading.
 */
export function clientAddress(remote: string | undefined, forwarded: string, trusted: TrustedProxies): string {
  const own = remote === undefined ? null : plainAddress(remote)
  if (own === null) return 'unknown'
  if (trusted === null) return own
  const hops = forwarded.split(',').toReversed()
  let [client, place] = [own, 0]
  while (place < hops.length && (typeof trusted === 'number' ? place < trusted : isListed(trusted, client))) {
    const next = plainAddress(hops[place]!.trim())
    if (next === null) break
    client = next
    place++
  }
  return client
}

const isListed = (list: BlockList, address: string) => list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')

/**
 * An address without port, brackets and zone, an IPv4 address not dressed up as IPv6. Null where it is none: `unknown`, and
 * names that proxies make up to hide somebody, are not.
 */
function plainAddress(text: string): string | null {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text
  const address = bare.replace(/%.*$/, '')
  return isIP(address) === 0 ? null : ipaddr.process(address).toString()
}
