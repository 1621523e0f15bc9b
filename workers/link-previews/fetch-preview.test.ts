import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase, type Database } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../../server/errors.ts'
import { createOutbound, type Outbound } from '../../server/lib/outbound.ts'
import { createTestDatabase } from '../../server/testing/test-app.ts'
import { createMediaProcessor, type MediaProcessor } from '../media/media.ts'
import { createFetchPreview } from './fetch-preview.ts'
import { createHosts, Postponed } from './hosts.ts'
import { startWebServer, type WebServer } from './testing/web-server.ts'

type Fetch = ReturnType<typeof createFetchPreview>['page']

/** Comes back as often as it is sent away, as a job does. */
function patient(opened: ReturnType<typeof createFetchPreview>): Fetch {
  async function again<Result>(work: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof Postponed)) throw error
        await sleep(Math.min(error.waitMs, 100))
      }
    }
  }
  return async (page, signal) => {
    let fetched = await again(() => opened.page(page, signal))
    while (fetched.waitMs !== undefined) {
      await sleep(fetched.waitMs)
      const { found, forMs } = fetched
      fetched = await again(() => opened.picture(found, forMs, signal))
    }
    return fetched
  }
}

let database: Database
let web: WebServer
let outbound: Outbound
let media: MediaProcessor
let tempDir: string
const files = new Map<string, { body: Buffer; contentType: string }>()
let fetchPreview: Fetch

beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, deadlineMs: 60_000, unavailable })
  await migrate(database)
  web = await startWebServer()
  outbound = createOutbound({ userAgent: 'MaruBot/1.0 (+https://maru.example)', allowed: web.hosts })
  tempDir = await mkdtemp(join(tmpdir(), 'maru-previews-'))
  media = createMediaProcessor({ tempDir })
  const { makePicture } = media
  const writeFile = async (key: string, body: Buffer, contentType: string) => void files.set(key, { body, contentType })
  const hosts = createHosts({ database, pauseMs: 20 })
  fetchPreview = patient(createFetchPreview({ outbound, hosts, makePicture, writeFile, timeoutMs: 2_000 }))
})
afterAll(async () => {
  await media.close()
  await outbound.close()
  await web.close()
  await database.close()
  await rm(tempDir, { recursive: true })
})

const look = async (path: string, host?: string) => (await fetchPreview(web.url(path, host))).found

const nothing = { title: null, description: null, siteName: null, imageKey: null, imageType: null, imageWidth: null, imageHeight: null }

describe('pages', () => {
  test('title and description, with entities', async () => {
    expect(await look('/plain')).toEqual({ ...nothing, outcome: 'FOUND', title: 'Plain & simple', description: 'Nothing <else>' })
    expect(web.asked.at(-1)!.userAgent).toBe('MaruBot/1.0 (+https://maru.example)')
  })

  test('Open Graph, with a picture of their own, made small and without what cameras write into it', async () => {
    const found = await look('/article')
    expect(found).toMatchObject({ outcome: 'FOUND', title: '마루', siteName: 'The Floor', imageWidth: 600, imageHeight: 400 })
    const { body, contentType } = files.get(found.imageKey!)!
    expect(found.imageKey).toMatch(/^previews\/[0-9a-f]{32}$/)
    expect(contentType).toBe(found.imageType)
    const { width, exif } = await sharp(body).metadata()
    expect({ width, exif }).toEqual({ width: 600, exif: undefined })
  })

  test('a picture on another host', async () => {
    expect(await look('/elsewhere')).toMatchObject({ title: 'Elsewhere', imageWidth: 600 })
  })

  test('EUC-KR', async () => {
    expect(await look('/euc-kr')).toMatchObject({ outcome: 'FOUND', title: '마루 소식' })
  })

  test('an address that is a picture shows it', async () => {
    expect(await look('/picture.jpg')).toMatchObject({ outcome: 'FOUND', title: null, imageWidth: 600 })
  })

  test('redirects are followed, to another host too', async () => {
    expect(await look('/moved')).toMatchObject({ outcome: 'FOUND', title: 'Plain & simple' })
    expect(await look('/moved-elsewhere')).toMatchObject({ outcome: 'FOUND', title: 'Plain & simple' })
  })

  test('what is found is good for a day, what is not or must not be kept for an hour', async () => {
    const forMs = async (path: string) => (await fetchPreview(web.url(path))).forMs
    expect(await forMs('/plain')).toBe(86_400_000)
    expect(await forMs('/no-store')).toBe(3_600_000)
    expect(await forMs('/nowhere')).toBe(3_600_000)
  })
})

describe('traps', () => {
  test.each([
    ['/nowhere', 'STATUS'],
    ['/no-title', 'EMPTY'],
    ['/og-in-body', 'EMPTY'],
    ['/pdf', 'EMPTY'],
    ['/loop', 'FAILED'],
    ['/to-loopback', 'REFUSED'],
    ['/to-file', 'REFUSED'],
    ['/private/page', 'DISALLOWED'],
    ['/to-private', 'DISALLOWED'],
    ['/endless', 'EMPTY'],
    ['/endless.jpg', 'TOO_LARGE'],
    ['/drip', 'TIMEOUT'],
  ])('%s: %s', async (path, outcome) => {
    expect(await look(path)).toEqual({ ...nothing, outcome })
  })

  test.each([
    ['/gzip-bomb', 'Bomb'],
    ['/huge-head', 'Huge'],
    ['/picture-bomb', 'Picture bomb'],
    ['/svg', 'SVG'],
    ['/inner-picture', 'Inner picture'],
    ['/endless-picture', 'Endless picture'],
  ])('%s: what can be shown without harm', async (path, title) => {
    expect(await look(path)).toEqual({ ...nothing, outcome: 'FOUND', title })
  })

  test('nothing that is forbidden was asked for', () => {
    expect(web.count('/private/page')).toBe(0)
    // On [::1] nobody listens; but who is refused has not tried.
    expect(web.asked.every(({ host }) => web.hosts.includes(host))).toBe(true)
  })

  test('an address that is not of the open Internet', async () => {
    for (const url of ['http://169.254.169.254/latest/meta-data/', 'http://10.0.0.1/', 'http://[::1]/']) {
      expect((await fetchPreview(url)).found.outcome, url).toBe('REFUSED')
    }
  })

  test('who is told to stop stops, and has found nothing out', async () => {
    const stop = new AbortController()
    const stopped = fetchPreview(web.url('/drip'), stop.signal)
    setTimeout(() => stop.abort(new Error('enough')), 200)
    await expect(stopped).rejects.toThrow('enough')
  })
})

test('robots.txt is asked for once a day at each host, and where it cannot be had nothing is', async () => {
  expect(web.count('/robots.txt')).toBe(2)
  const other = await startWebServer()
  const hosts = createHosts({ database, pauseMs: 20 })
  const client = createOutbound({ userAgent: 'MaruBot/1.0', allowed: other.hosts })
  const { makePicture } = media
  const fetchOther = patient(createFetchPreview({ outbound: client, hosts, makePicture, writeFile: async () => {} }))
  const outcome = async (host: string) => (await fetchOther(other.url('/plain', host))).found.outcome
  other.serve('/robots.txt', (_, response) => void response.writeHead(503).end())
  expect(await outcome(other.hosts[0])).toBe('DISALLOWED')
  other.serve('/robots.txt', (_, response) => void response.writeHead(404).end())
  // It is still held against it; the other has not been asked yet.
  expect(await outcome(other.hosts[0])).toBe('DISALLOWED')
  expect(await outcome(other.hosts[1])).toBe('FOUND')
  expect(other.count('/robots.txt')).toBe(2)
  await client.close()
  await other.close()
})
