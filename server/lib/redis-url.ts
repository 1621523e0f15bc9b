import { z } from 'zod'

/** Where a Redis is, and how one gets in. */
export type RedisAddress = {
  host: string
  port: number
  username?: string
  password?: string
  /** The logical database; a cluster has but 0. */
  db?: number
  tls?: Record<string, never>
}

/**
 * The addresses in `REDIS_URL`: one, or several of one cluster with commas between them. User, password and TLS are
 * those of the first, as a cluster has one of each: `rediss://:secret@one:6379,two:6379`. A comma in a password is
 * written `%2C`. Throws a TypeError or URIError where one of them is no address.
 */
export function redisAddresses(url: string): [RedisAddress, ...RedisAddress[]] {
  const [first, ...others] = url.split(',').map((part) => part.trim())
  const one = redisAddress(first!)
  const { host: _, port: __, ...access } = one
  return [one, ...others.map((part) => ({ ...redisAddress(part.includes('://') ? part : `redis://${part}`), ...access }))]
}

function redisAddress(text: string): RedisAddress {
  const { protocol, hostname, port, username, password, pathname, search, hash } = new URL(text)
  if (!/^rediss?:$/.test(protocol) || hostname === '' || !/^\/?\d*$/.test(pathname) || search + hash !== '') {
    throw new TypeError('Not the address of a Redis')
  }
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 6379 : Number(port),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    ...(pathname.length > 1 ? { db: Number(pathname.slice(1)) } : {}),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  }
}

/** The text of an environment variable that names a Redis or a Redis Cluster; it stays text. */
export const redisUrl = () =>
  z.string().refine(isRedisUrl, {
    error: 'must be a URL that starts with redis:// or rediss://, or several of one cluster with commas between them',
  })

function isRedisUrl(text: string): boolean {
  try {
    redisAddresses(text)
    return true
  } catch {
    return false
  }
}
