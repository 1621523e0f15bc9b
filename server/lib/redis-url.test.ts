import { expect, test } from 'vitest'
import { redisAddresses } from './redis-url.ts'

test('one address says where a Redis is, and how one gets in', () => {
  expect(redisAddresses('redis://redis.example.org')).toEqual([{ host: 'redis.example.org', port: 6379 }])
  expect(redisAddresses('rediss://maru:p%2Cw%40@[::1]:7000/3')).toEqual([
    { host: '::1', port: 7000, username: 'maru', password: 'p,w@', db: 3, tls: {} },
  ])
  expect(redisAddresses('redis://:secret@one')).toEqual([{ host: 'one', port: 6379, password: 'secret' }])
})

test('several are nodes of one cluster, and take user, password and TLS from the first', () => {
  const access = { username: 'maru', password: 'pw', tls: {} }
  expect(redisAddresses('rediss://maru:pw@one:7000,two:7001, rediss://three')).toEqual([
    { host: 'one', port: 7000, ...access },
    { host: 'two', port: 7001, ...access },
    { host: 'three', port: 6379, ...access },
  ])
})

test.each(['', 'redis', 'http://one', 'redis://', 'redis://one/two', 'redis://one?db=1', 'redis://one:port', 'redis://one,'])(
  '%j is no address',
  (url) => expect(() => redisAddresses(url)).toThrow(/Invalid URL|Not the address of a Redis/),
)
