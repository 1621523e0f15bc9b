import ipaddr from 'ipaddr.js'

/** A user as the subject of a limit. */
export const userSubject = (userId: string): string => `u:${userId}`

/** Bytes of an IPv6 address that name a customer: providers give each a /64, and with it 2^64 addresses, at the least. */
const networkBytes = 8

/**
 * An address as the subject of a limit: an IPv4 address itself, also where it is written as IPv6, and of an IPv6 address
 * its /64. What is no address is one subject of its own.
 */
export function addressSubject(ip: string): string {
  if (!ipaddr.isValid(ip)) return 'a:unknown'
  const address = ipaddr.process(ip)
  if (address.kind() === 'ipv4') return `a:${address.toString()}`
  return `a:${Buffer.from(address.toByteArray().slice(0, networkBytes)).toString('hex')}`
}
