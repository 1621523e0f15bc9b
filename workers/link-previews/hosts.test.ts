import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase, type Database } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../../server/errors.ts'
import { createTestDatabase } from '../../server/testing/test-app.ts'
import { createHosts, hostOf, type Hosts, Postponed, type Tour } from './hosts.ts'
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

/** Comes back as often as it is sent away. */
async function visitAtLast(hosts: Hosts, host: string, ask: () => Promise<void>) {
  for (;;) {
    try {
      return await hosts.visit(host, ask)
    } catch (error) {
      if (!(error instanceof Postponed)) throw error
      await sleep(Math.min(error.waitMs, 100) * Math.random())
    }
  }
}

test('a host is asked by one worker at a time, with a pause after each', async () => {
  const workers = [createHosts({ database, pauseMs: 60 }), createHosts({ database: other, pauseMs: 60 })]
  const visits: { from: number; to: number }[] = []
  const visit = async () => {
    const from = performance.now()
    await sleep(20)
    visits.push({ from, to: performance.now() })
  }
  await Promise.all(Array.from({ length: 6 }, (_, nth) => visitAtLast(workers[nth % 2]!, 'one.example', visit)))
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

test('who comes while somebody is there is sent away at once, and told when to come back', async () => {
  const hosts = createHosts({ database, pauseMs: 1_500 })
  const { promise: end, resolve } = Promise.withResolvers<void>()
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const first = hosts.visit('four.example', () => (begin(), end), { delayMs: 9_000 })
  await begun
  const visit = () => hosts.visit('four.example', async () => 'in').catch((error: unknown) => error)
  const second = await visit()
  expect(second).toBeInstanceOf(Postponed)
  // Nobody knows how long it takes; but not as long as the lease.
  expect((second as Postponed).waitMs).toBe(2_000)
  resolve()
  await first
  // Now it is known.
  expect((await visit() as Postponed).waitMs).toBeGreaterThan(5_000)
  await expire('link_hosts', 'next_at')
  expect(await visit()).toBe('in')
})

test('a job waits for the pause that it owes itself, unless that is long, or others were there meanwhile', async () => {
  const hosts = createHosts({ database, pauseMs: 100 })
  const tour: Tour = new Map()
  const ask = async () => performance.now()
  const first = await hosts.visit('nine.example', ask, { tour })
  const second = await hosts.visit('nine.example', ask, { tour })
  expect(second - first).toBeGreaterThan(95)
  await expire('link_hosts', 'next_at')
  await hosts.visit('nine.example', ask)
  await expect(hosts.visit('nine.example', ask, { tour })).rejects.toThrow(Postponed)
  await hosts.visit('ten.example', ask, { tour, delayMs: 10_000 })
  await expect(hosts.visit('ten.example', ask, { tour })).rejects.toThrow(Postponed)
})

test('with a final dot, or the usual port, a host is the same', () => {
  for (const url of ['http://example.com/a', 'https://EXAMPLE.com./', 'https://example.com.:443/?b', 'http://example.com:80']) {
    expect(hostOf(url)).toBe('example.com')
  }
  expect(hostOf('http://example.com.:8080')).toBe('example.com:8080')
  expect(hostOf('http://[::1]:8080')).toBe('[::1]:8080')
})

test('a visit that fails ends, too; one whose worker died ends by itself', async () => {
  const hosts = createHosts({ database, pauseMs: 20 })
  await expect(hosts.visit('five.example', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  await expire('link_hosts', 'next_at')
  expect(await hosts.visit('five.example', async () => 'in')).toBe('in')
  const dead = createHosts({ database, pauseMs: 20 })
  void dead.visit('six.example', () => new Promise<never>(() => undefined))
  await expect.poll(() => database.run(`select from link_hosts where host = 'six.example' and next_at > now()`, [])).toHaveLength(1)
  await expire('link_hosts', 'next_at')
  expect(await hosts.visit('six.example', async () => 'in')).toBe('in')
})

test('who has lost its turn does not end that of another', async () => {
  const hosts = createHosts({ database, pauseMs: 20 })
  const { promise: taken, resolve: take } = Promise.withResolvers<void>()
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  await hosts.visit('seven.example', async () => {
    await expire('link_hosts', 'next_at')
    void hosts.visit('seven.example', () => (take(), ended))
    await taken
  })
  await expect(hosts.visit('seven.example', async () => 'in')).rejects.toThrow(Postponed)
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

test('a picture that is to come is asked for by one, who knows how long the rest is good', async () => {
  const cache = createLinkCache(database)
  const later: Found = { ...found, outcome: 'PICTURE_LATER', imageKey: 'https://example.com/c.png' }
  await cache.ask('https://example.com/c')
  expect(await cache.takePicture('https://example.com/c')).toBe(null)
  await cache.keep('https://example.com/c', later, 60_000)
  expect(await cache.ask('https://example.com/c')).toEqual(later)
  const taken = await Promise.all(Array.from({ length: 5 }, () => cache.takePicture('https://example.com/c')))
  const [forMs, ...others] = taken.filter((each) => each !== null)
  expect(others).toEqual([])
  expect(forMs).toBeGreaterThan(30_000)
  expect(forMs).toBeLessThanOrEqual(60_000)
  expect(await cache.ask('https://example.com/c')).toBe('busy')
})

test('what nobody has asked for in a week is forgotten', async () => {
  await database.run('delete from link_cache', [])
  const cache = createLinkCache(database)
  for (const each of ['https://example.com/old', 'https://example.com/new']) {
    await cache.ask(each)
    await cache.keep(each, found, 60_000)
  }
  await database.run(`update link_cache set expires_at = now() - interval '8 days' where url like '%old'`, [])
  await database.run(`update link_hosts set next_at = now() - interval '25 hours' where host = 'one.example'`, [])
  await sweepLinkCache(database)
  expect(await database.run('select url from link_cache', [])).toEqual([{ url: 'https://example.com/new' }])
  expect(await database.run(`select host from link_hosts where host in ('one.example', 'two.example')`, [])).toEqual([
    { host: 'two.example' },
  ])
})

test('a picture goes when neither an address nor a message has it, and not before', async () => {
  await database.run('delete from link_cache', [])
  const cache = createLinkCache(database)
  const removed: string[] = []
  const sweep = () => sweepLinkCache(database, async (keys) => void removed.push(...keys))
  const show = (key: string) =>
    database.run(
      `insert into link_previews (channel_id, message_id, position, url, image_key) values (1, $2, 0, 'https://example.com/', $1)`,
      [key, key.length],
    )
  const age = () => database.run(`update link_cache set expires_at = expires_at - interval '9 days'`, [])
  const put = async (address: string, imageKey: string | null) => {
    await cache.ask(address)
    await cache.keep(address, { ...found, imageKey, imageType: imageKey && 'image/webp' }, 60_000)
  }
  // Two addresses: one whose picture changes, and is shown; one whose picture is shown nowhere.
  await put('https://example.com/changing', 'previews/first')
  await show('previews/first')
  await expire('link_cache', 'expires_at')
  await put('https://example.com/changing', 'previews/second')
  await put('https://example.com/quiet', 'previews/quiet')
  await put('https://example.com/plain', null)
  await sweep()
  expect(removed).toEqual([])
  await age()
  await put('https://example.com/changing', 'previews/third')
  await sweep()
  expect(removed).toEqual(['previews/quiet'])
  expect((await cache.ask('https://example.com/changing'))).toMatchObject({ imageKey: 'previews/third' })
  await age()
  await sweep()
  expect(removed.splice(0).toSorted()).toEqual(['previews/quiet', 'previews/second', 'previews/third'])
  await database.run('delete from link_previews', [])
  await sweep()
  expect(removed).toEqual([])
  await age()
  await sweep()
  expect(removed).toEqual(['previews/first'])
  expect(await database.run('select url from link_cache', [])).toEqual([])
})
