import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase, type Database } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../../server/errors.ts'
import { createTestDatabase } from '../../server/testing/test-app.ts'
import { createHosts, Postponed } from './hosts.ts'
import { createLinkCache, type Found, sweepLinkCache } from './link-cache.ts'

let database: Database
let other: Database
beforeAll(async () => {
  const url = await createTestDatabase()
  database = openDatabase({ url, poolSize: 4, deadlineMs: 60_000, unavailable })
  other = openDatabase({ url, poolSize: 4, deadlineMs: 60_000, unavailable })
  await migrate(database)
})
afterAll(() => Promise.all([database.close(), other.close()]))

/** Lets time pass, for everything that a table holds. */
const expire = (table: string, column: string) => database.run(`update ${table} set ${column} = now() - interval '1 second'`, [])

test('a host is asked by one worker at a time, with a pause after each', async () => {
  const workers = [createHosts({ database, pauseMs: 60 }), createHosts({ database: other, pauseMs: 60 })]
  const visits: { from: number; to: number }[] = []
  const visit = async () => {
    const from = performance.now()
    await sleep(20)
    visits.push({ from, to: performance.now() })
  }
  await Promise.all(Array.from({ length: 6 }, (_, nth) => workers[nth % 2]!.visit('one.example', visit)))
  expect(visits).toHaveLength(6)
  const inOrder = visits.toSorted((one, two) => one.from - two.from)
  for (const [nth, { from }] of inOrder.entries()) {
    // The store keeps milliseconds, and counts from when the visit was over.
    if (nth > 0) expect(from - inOrder[nth - 1]!.to).toBeGreaterThan(55)
  }
})

test('hosts do not wait for each other', async () => {
  const hosts = createHosts({ database, pauseMs: 60 })
  const { promise: both, resolve } = Promise.withResolvers<void>()
  await hosts.visit('two.example', () => hosts.visit('three.example', async () => resolve()))
  await both
})

test('who would have to wait for long is sent away, and the visit of the one before goes on', async () => {
  const hosts = createHosts({ database, pauseMs: 20 })
  const { promise: end, resolve } = Promise.withResolvers<void>()
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const first = hosts.visit('four.example', () => (begin(), end))
  await begun
  const second = await hosts.visit('four.example', async () => 'in').catch((error: unknown) => error)
  expect(second).toBeInstanceOf(Postponed)
  expect((second as Postponed).waitMs).toBeGreaterThan(1_000)
  resolve()
  await first
  expect(await hosts.visit('four.example', async () => 'in')).toBe('in')
})

test('a visit that fails ends, too; one whose worker died ends by itself', async () => {
  const hosts = createHosts({ database, pauseMs: 20 })
  await expect(hosts.visit('five.example', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await hosts.visit('five.example', async () => 'in')).toBe('in')
  const dead = createHosts({ database, pauseMs: 20 })
  void dead.visit('six.example', () => new Promise<never>(() => undefined))
  await expect.poll(() => database.run(`select from link_hosts where host = 'six.example' and next_at > now()`, [])).toHaveLength(1)
  await expire('link_hosts', 'next_at')
  expect(await hosts.visit('six.example', async () => 'in')).toBe('in')
})

test('who has lost its turn does not go on, and does not end that of another', async () => {
  const hosts = createHosts({ database, pauseMs: 20 })
  const { promise: taken, resolve: take } = Promise.withResolvers<void>()
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  const slow = hosts.visit('seven.example', async (turn) => {
    await expire('link_hosts', 'next_at')
    void hosts.visit('seven.example', () => (take(), ended))
    await taken
    await turn.pause()
  })
  await expect(slow).rejects.toThrow(Postponed)
  const [row] = await database.run<{ held: boolean }>(`select next_at > now() as held from link_hosts where host = 'seven.example'`, [])
  expect(row!.held).toBe(true)
  end()
})

test('rules are kept beside the host, until they are too old', async () => {
  const hosts = createHosts({ database, pauseMs: 1 })
  expect(await hosts.rulesOf('eight.example')).toBe(null)
  await hosts.visit('eight.example', () => hosts.keepRules('eight.example', 'Disallow: /', 60_000))
  expect(await hosts.rulesOf('eight.example')).toBe('Disallow: /')
  await expire('link_hosts', 'robots_expires_at')
  expect(await hosts.rulesOf('eight.example')).toBe(null)
})

const page = 'https://example.com/a'
const found: Found = {
  outcome: 'FOUND', title: 'A', description: 'B', siteName: 'C', imageKey: 'previews/d', imageType: 'image/webp', imageWidth: 6, imageHeight: 4,
}

test('an address is looked up by one, and known to all afterwards, until that is too old', async () => {
  const caches = [createLinkCache(database), createLinkCache(other)]
  const answers = await Promise.all(Array.from({ length: 10 }, (_, nth) => caches[nth % 2]!.ask(page)))
  expect(answers.filter((answer) => answer === 'yours')).toHaveLength(1)
  expect(answers.filter((answer) => answer === 'busy')).toHaveLength(9)
  await caches[0]!.keep(page, found, 60_000)
  expect(await caches[1]!.ask(page)).toEqual(found)
  await expire('link_cache', 'expires_at')
  const again = await Promise.all(Array.from({ length: 10 }, (_, nth) => caches[nth % 2]!.ask(page)))
  expect(again.toSorted()).toEqual([...Array.from({ length: 9 }, () => 'busy'), 'yours'])
})

test('who gives an address back leaves it to the next; so does who dies', async () => {
  const cache = createLinkCache(database)
  expect(await cache.ask('https://example.com/b')).toBe('yours')
  await cache.release('https://example.com/b')
  expect(await cache.ask('https://example.com/b')).toBe('yours')
  expect(await cache.ask('https://example.com/b')).toBe('busy')
  await expire('link_cache', 'expires_at')
  expect(await cache.ask('https://example.com/b')).toBe('yours')
  // Nothing that is known is given back.
  await cache.keep('https://example.com/b', found, 60_000)
  await cache.release('https://example.com/b')
  expect(await cache.ask('https://example.com/b')).toEqual(found)
})

test('what nobody has asked for in a week is forgotten', async () => {
  await database.run('delete from link_cache', [])
  const cache = createLinkCache(database)
  for (const each of ['https://example.com/old', 'https://example.com/new']) {
    await cache.ask(each)
    await cache.keep(each, found, 60_000)
  }
  await database.run(`update link_cache set expires_at = now() - interval '8 days' where url like '%old'`, [])
  await database.run(`update link_hosts set next_at = now() - interval '8 days' where host = 'one.example'`, [])
  await sweepLinkCache(database)
  expect(await database.run('select url from link_cache', [])).toEqual([{ url: 'https://example.com/new' }])
  expect(await database.run(`select host from link_hosts where host in ('one.example', 'two.example')`, [])).toEqual([
    { host: 'two.example' },
  ])
})
