import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { openDatabase, type Database } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../../server/errors.ts'
import { createOutbound } from '../../server/lib/outbound.ts'
import { createTestDatabase } from '../../server/testing/test-app.ts'
import { createFetchPicture, maxMaking } from './fetch-picture.ts'
import { createFetchPreview } from './fetch-preview.ts'
import { createFetchRules } from './fetch-rules.ts'
import { createHosts, hostOf, type Hosts, Postponed } from './hosts.ts'
import { page, picture, startWebServer, type WebServer } from './testing/web-server.ts'
import { startTrip } from './trip.ts'

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 8, deadlineMs: 60_000, unavailable })
  await migrate(database)
})
afterAll(() => database.close())

/** Some hosts, and somebody to open what stands on them. */
async function start(count: number) {
  const webs = await Promise.all(Array.from({ length: count }, startWebServer))
  const outbound = createOutbound({ userAgent: 'MaruBot/1.0', allowed: webs.flatMap((web) => web.hosts) })
  const hosts = createHosts({ database, pauseMs: 30 })
  const makePicture = async (data: Buffer) => ({ data, width: 6, height: 4, contentType: 'image/jpeg' })
  const { page: openPage, picture } = createFetchPreview({ outbound, hosts, makePicture, writeFile: async () => {} })
  onTestFinished(async () => {
    await outbound.close()
    await Promise.all(webs.map((web) => web.close()))
  })
  return { webs, hosts, openPage, picture }
}

const redirect = (web: WebServer, path: string, to: string) =>
  web.serve(path, (_, response) => void response.writeHead(302, { location: to }).end())

const withPicture = (title: string, image: string) => page(title, `<meta property="og:image" content="${image}">`)

/** Somebody is with a host until the test is over. */
async function occupy(hosts: Hosts, host: string): Promise<() => Promise<unknown>> {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const { promise: over, resolve: end } = Promise.withResolvers<void>()
  const visit = hosts.visit(host, () => (begin(), over))
  await begun
  return async () => {
    end()
    await visit
    await sleep(50)
  }
}

/** One request after the other. */
function expectInTurn({ asked }: WebServer) {
  const visits = asked.toSorted((one, other) => one.from - other.from)
  for (const [nth, { from }] of visits.entries()) if (nth > 0) expect(from).toBeGreaterThan(visits[nth - 1]!.to!)
}

test('hosts that redirect to another do not have it asked out of turn', async () => {
  let [most, now] = [0, 0]
  const victim = createServer((_, response) => {
    most = Math.max(most, ++now)
    setTimeout(() => {
      now--
      response.writeHead(404).end()
    }, 100)
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void victim.close())
  await new Promise((resolve) => victim.once('listening', resolve))
  const host = `localhost:${(victim.address() as AddressInfo).port}`
  const evil = await Promise.all(Array.from({ length: 6 }, startWebServer))
  const allowed = [host, ...evil.flatMap((web) => web.hosts)]
  const outbound = createOutbound({ userAgent: 'MaruBot/1.0', allowed })
  onTestFinished(async () => {
    await outbound.close()
    await Promise.all(evil.map((web) => web.close()))
  })
  const hosts = createHosts({ database, pauseMs: 30 })
  const fetchPreview = createFetchPreview({ outbound, hosts, makePicture: async () => null, writeFile: async () => {} })
  for (const [nth, web] of evil.entries()) {
    if (nth % 2 === 0) redirect(web, '/robots.txt', `http://${host}/robots.txt`)
    redirect(web, '/p.png', `http://${host}/large`)
    web.serve('/', withPicture('Evil', '/p.png'))
  }
  const come = async (web: WebServer) => {
    for (let time = 0; time < 6; time++) {
      await fetchPreview.page(web.url('/')).catch((error: unknown) => expect(error).toBeInstanceOf(Postponed))
      await sleep(50)
    }
  }
  await Promise.all(evil.map(come))
  expect(most).toBe(1)
})

test('rules are where they are redirected to, on another host too, and kept for the first', async () => {
  const { webs: [one, other], openPage } = await start(2)
  redirect(one!, '/robots.txt', '/robots')
  redirect(one!, '/robots', other!.url('/rules'))
  other!.serve('/rules', (_, response) => response.end('User-agent: *\nDisallow: /plain'))
  expect((await openPage(one!.url('/plain'))).found.outcome).toBe('DISALLOWED')
  expect((await openPage(one!.url('/plain'))).found.outcome).toBe('DISALLOWED')
  expect(one!.asked.map(({ path }) => path)).toEqual(['/robots.txt', '/robots'])
  expect(other!.asked.map(({ path }) => path)).toEqual(['/rules'])
  expectInTurn(one!)
})

test('rules that lead nowhere, or in circles, are none', async () => {
  for (const to of ['/robots.txt', 'ftp://example.com/', `/${'x'.repeat(3_000)}`]) {
    const { webs: [web], openPage } = await start(1)
    redirect(web!, '/robots.txt', to)
    expect((await openPage(web!.url('/plain'))).found.title, to).toBe('Plain & simple')
    expect(web!.count('/robots.txt')).toBeLessThanOrEqual(6)
    expectInTurn(web!)
  }
})

test('a link that leads to another host and back is followed in one go', async () => {
  const { webs: [one, other], openPage } = await start(2)
  redirect(one!, '/start', other!.url('/consent'))
  redirect(other!, '/consent', one!.url('/end'))
  one!.serve('/end', withPicture('There and back', '/picture'))
  redirect(one!, '/picture', '/picture.jpg')
  expect((await openPage(one!.url('/start'))).found).toMatchObject({ title: 'There and back', imageWidth: 6 })
  expectInTurn(one!)
})

test('a picture whose host is busy comes later, and its page is not asked for again', async () => {
  const { webs: [one, other], hosts, openPage, picture } = await start(2)
  one!.serve('/', withPicture('Busy', other!.url('/picture.jpg')))
  const leave = await occupy(hosts, hostOf(other!.url('/')))
  const first = await openPage(one!.url('/'))
  expect(first).toMatchObject({ found: { outcome: 'PICTURE_LATER', title: 'Busy', imageKey: other!.url('/picture.jpg') } })
  expect(first.waitMs).toBeGreaterThan(0)
  const second = await picture(first.found, 5_000)
  expect(second).toMatchObject({ ...first, forMs: 5_000 })
  await leave()
  expect(await picture(second.found, second.forMs)).toMatchObject({ forMs: 5_000, found: { outcome: 'FOUND', title: 'Busy', imageWidth: 6 } })
  expect(one!.count('/')).toBe(1)
})

test('a host that wants a long pause gets it before its picture too', async () => {
  const { webs: [web], openPage, picture } = await start(1)
  web!.serve('/robots.txt', (_, response) => response.end('User-agent: *\nCrawl-delay: 4'))
  web!.serve('/', page('', '<meta property="og:image" content="/picture.jpg">'))
  const { found, waitMs, forMs } = await openPage(web!.url('/'))
  expect(found).toMatchObject({ outcome: 'PICTURE_LATER', title: null })
  expect(waitMs).toBeGreaterThan(2_000)
  await expect(openPage(web!.url('/plain'))).rejects.toMatchObject({ name: 'Postponed' })
  expect((await picture(found, forMs)).waitMs).toBeGreaterThan(2_000)
  expect(web!.count('/picture.jpg')).toBe(0)
  await database.run(`update link_hosts set next_at = now() where host = $1`, [hostOf(web!.url('/'))])
  expect((await picture(found, forMs)).found).toMatchObject({ outcome: 'FOUND', imageWidth: 6 })
  // A page with nothing but a picture that cannot be had has nothing.
  await database.run(`update link_hosts set next_at = now() where host = $1`, [hostOf(web!.url('/'))])
  expect((await picture({ ...found, imageKey: web!.url('/gone.jpg') }, forMs)).found.outcome).toBe('EMPTY')
})

test('where pictures pile up no more are asked for, until there is time again', async () => {
  const { webs: [web], hosts } = await start(1)
  const outbound = createOutbound({ userAgent: 'MaruBot/1.0', allowed: web!.hosts })
  onTestFinished(() => outbound.close())
  const { promise: films, resolve: end } = Promise.withResolvers<null>()
  let made = 0
  const makePicture = () => (made++, films)
  const pictures = createFetchPicture({ outbound, hosts, makePicture, writeFile: async () => {}, timeoutMs: 2_000 })
  const body = await picture(6, 4)
  const first = Array.from({ length: maxMaking }, () => pictures.keep(body))
  await expect.poll(() => made).toBe(maxMaking)
  await expect(pictures.keep(body)).rejects.toThrow(Postponed)
  await expect(pictures.fetch(web!.url('/picture.jpg'), startTrip())).rejects.toThrow(Postponed)
  expect(web!.asked).toEqual([])
  end(null)
  expect(await Promise.all(first)).toEqual(first.map(() => null))
  expect(await pictures.fetch(web!.url('/picture.jpg'), startTrip())).toBe(null)
  expect(web!.count('/picture.jpg')).toBe(1)
})

test('a host that is asked at the end of a long way is not held to be out of order', async () => {
  const { webs: [web], hosts, openPage } = await start(1)
  const outbound = createOutbound({ userAgent: 'MaruBot/1.0', allowed: web!.hosts })
  onTestFinished(() => outbound.close())
  const rulesFor = createFetchRules({ outbound, hosts, timeoutMs: 2_000 })
  web!.serve('/robots.txt', (_, response) => void setTimeout(() => response.writeHead(404).end(), 300))
  await expect(rulesFor(web!.url('/plain'), { ...startTrip(), timeFor: () => 50 })).rejects.toMatchObject({ reason: 'timeout' })
  await sleep(50)
  expect((await openPage(web!.url('/plain'))).found.title).toBe('Plain & simple')
})
