import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { DeleteMessageDocument, EditMessageDocument, MessageLinkPreviewsDocument } from '../../client-sdk/index.ts'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { unavailable } from '../../server/errors.ts'
import { parseGlobalId } from '../../server/lib/global-id.ts'
import { createOutbound, type Outbound } from '../../server/lib/outbound.ts'
import { readMessage } from '../../server/message-store/pages.ts'
import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { createMediaProcessor, type MediaProcessor } from '../media/media.ts'
import { createLinkPreviewJob, type LinkPreviewJobData } from './link-preview-job.ts'
import { page, startWebServer, type WebServer } from './testing/web-server.ts'

let app: TestApp
let alice: Person
let channelId: string
let web: WebServer
let outbound: Outbound
let media: MediaProcessor
let tempDir: string
const databases: Database[] = []
const files = new Map<string, { body: Buffer; contentType: string }>()
let filesAreAway = false
const putOffs: { data: LinkPreviewJobData; ms: number }[] = []

/** Two workers, each with connections of its own. */
let jobs: ReturnType<typeof createLinkPreviewJob>[]

beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
  channelId = await newChannel(alice)
  web = await startWebServer()
  outbound = createOutbound({ userAgent: 'MaruBot/1.0', allowed: web.hosts })
  tempDir = await mkdtemp(join(tmpdir(), 'maru-previews-'))
  media = createMediaProcessor({ tempDir })
  jobs = [0, 1].map(() => {
    const database = openDatabase({ url: app.databaseUrl, poolSize: 4, unavailable })
    databases.push(database)
    return createLinkPreviewJob({
      database,
      store: { message: (key) => readMessage(database, key) },
      linkPreviews: app.app.services.linkPreviews,
      async writeFile(key, body, contentType) {
        if (filesAreAway) throw unavailable()
        files.set(key, { body, contentType })
      },
      outbound,
      makePicture: media.makePicture,
      async putOff(data, ms) {
        putOffs.push({ data, ms })
      },
      pauseMs: 20,
    })
  })
})
afterEach(() => {
  putOffs.length = 0
  web.asked.length = 0
})
afterAll(async () => {
  await media.close()
  await outbound.close()
  await web.close()
  for (const database of databases) await database.close()
  await app.stop()
  await rm(tempDir, { recursive: true })
})

function keyOf(id: string): LinkPreviewJobData {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Message') throw new Error('A message has the id of one')
  return { channelId: parsed.channelId, messageId: parsed.messageId }
}

async function read(id: string) {
  const { node } = await alice.client.request(MessageLinkPreviewsDocument, { id })
  if (node?.__typename !== 'Message') throw new Error('No such message')
  return node
}

/** Runs the job of a message as often as it is put off, as the queue does. */
async function open(id: string, worker = 0) {
  const key = keyOf(id)
  for (let round = 0; round < 40; round++) {
    const before = putOffs.length
    await jobs[worker]!(key)
    if (putOffs.slice(before).every(({ data }) => data.messageId !== key.messageId)) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('Put off too often')
}

/** Nobody is with any host, nor has just been. */
const freeHosts = () => databases[0]!.run('update link_hosts set next_at = now()', [])

const send = async (content: string) => (await say(alice, channelId, content)).id

test('the first links of a message get previews, in their order', async () => {
  const id = await send(`${web.url('/no-title')} ${web.url('/article')}, ${web.url('/plain', web.hosts[1])} ${web.url('/euc-kr')}`)
  await open(id)
  const { linkPreviews } = await read(id)
  expect(linkPreviews).toMatchObject([
    { url: web.url('/article'), title: '마루', siteName: 'The Floor', imageWidth: 600, imageHeight: 400 },
    { url: web.url('/plain', web.hosts[1]), title: 'Plain & simple', description: 'Nothing <else>', imageWidth: null },
  ])
  // The fourth is not opened.
  expect(web.count('/euc-kr')).toBe(0)
  const [[key, { body, contentType }]] = [...files] as [[string, { body: Buffer; contentType: string }]]
  expect(key).toMatch(/^previews\//)
  expect(contentType).toMatch(/^image\/(webp|jpeg)$/)
  expect((await sharp(body).metadata()).width).toBe(600)
})

test('again, it changes nothing and asks nobody', async () => {
  const id = await send(web.url('/article#again'))
  await open(id)
  const { version, linkPreviews } = await read(id)
  expect(linkPreviews).toMatchObject([{ url: web.url('/article#again'), title: '마루' }])
  await open(id, 1)
  expect((await read(id)).version).toBe(version)
  expect(web.asked).toEqual([])
})

test('an address in many messages at the same time is asked for once, by one worker of two', async () => {
  web.serve('/popular', page('Popular'))
  const ids = await Promise.all(Array.from({ length: 6 }, () => send(web.url('/popular'))))
  await Promise.all(ids.map((id, nth) => open(id, nth % 2)))
  for (const id of ids) expect((await read(id)).linkPreviews).toMatchObject([{ title: 'Popular' }])
  expect(web.count('/popular')).toBe(1)
})

test('a host is asked one thing at a time', async () => {
  for (let nth = 0; nth < 6; nth++) {
    web.serve(`/slow/${nth}`, (_, response) => {
      setTimeout(() => response.writeHead(200, { 'content-type': 'text/html' }).end(page(`Slow ${nth}`)), 50)
    })
  }
  const ids = await Promise.all(Array.from({ length: 6 }, (_, nth) => send(web.url(`/slow/${nth}`))))
  await Promise.all(ids.map((id, nth) => open(id, nth % 2)))
  const visits = web.asked.toSorted((one, other) => one.from - other.from)
  expect(visits).toHaveLength(6)
  for (const [nth, { from }] of visits.entries()) if (nth > 0) expect(from).toBeGreaterThan(visits[nth - 1]!.to!)
  for (const [nth, id] of ids.entries()) expect((await read(id)).linkPreviews).toMatchObject([{ title: `Slow ${nth}` }])
})

describe('what cannot be had', () => {
  test('leaves the message as it is, and is not asked for again so soon', async () => {
    const id = await send(`${web.url('/nowhere')} ${web.url('/private/page')} http://169.254.169.254/latest/meta-data/`)
    const { version } = await read(id)
    await open(id)
    await open(id)
    expect(await read(id)).toMatchObject({ linkPreviews: [], version })
    expect(web.count('/nowhere')).toBe(1)
  })

  test('because files are away is tried again', async () => {
    web.serve('/away', page('Away', '<meta property="og:image" content="/picture.jpg">'))
    const id = await send(`${web.url('/away')} ${web.url('/plain', web.hosts[1])}`)
    filesAreAway = true
    await expect(open(id)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    // What could be had is there meanwhile.
    expect((await read(id)).linkPreviews).toMatchObject([{ title: 'Plain & simple' }])
    filesAreAway = false
    await open(id)
    expect((await read(id)).linkPreviews).toMatchObject([{ title: 'Away', imageWidth: 600 }, { title: 'Plain & simple' }])
  })

  test('because the host of its picture is busy comes later, to all who mention it', async () => {
    web.serve('/half', page('Half', `<meta property="og:image" content="${web.url('/picture.jpg', web.hosts[1])}">`))
    const ids = [await send(web.url('/half')), await send(web.url('/half'))]
    const host = web.hosts[1]
    await freeHosts()
    await databases[0]!.run(
      `insert into link_hosts (host, next_at) values ($1, now() + interval '5 seconds')
       on conflict (host) do update set next_at = excluded.next_at`,
      [host],
    )
    await jobs[0]!(keyOf(ids[0]!))
    await jobs[1]!(keyOf(ids[1]!))
    for (const id of ids) expect((await read(id)).linkPreviews).toMatchObject([{ title: 'Half', imageUrl: null }])
    expect(putOffs).toHaveLength(2)
    expect(putOffs[0]!.ms).toBeGreaterThan(3_000)
    await freeHosts()
    for (const id of ids) await open(id)
    for (const id of ids) expect((await read(id)).linkPreviews).toMatchObject([{ title: 'Half', imageWidth: 600 }])
    expect(web.count('/half')).toBe(1)
    expect(web.count('/picture.jpg')).toBe(1)
  })

  test('because its host is busy does not keep a worker waiting', async () => {
    const id = await send(web.url('/plain?busy'))
    await databases[0]!.run(`update link_hosts set next_at = now() + interval '9 seconds' where host = $1`, [web.hosts[0]])
    const began = performance.now()
    await jobs[0]!(keyOf(id))
    expect(performance.now() - began).toBeLessThan(2_000)
    // Not much before it is free.
    expect(putOffs[0]!.ms).toBeGreaterThan(6_000)
    await freeHosts()
    await open(id)
    expect((await read(id)).linkPreviews).toMatchObject([{ title: 'Plain & simple' }])
  })

  test('because the worker is told to stop is left to the next', async () => {
    await freeHosts()
    web.serve('/stopped', (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).write('<head>'))
    const id = await send(web.url('/stopped'))
    const stop = new AbortController()
    const stopped = jobs[0]!(keyOf(id), { signal: stop.signal })
    await expect.poll(() => web.count('/stopped')).toBe(1)
    stop.abort(new Error('The process is about to end'))
    await expect(stopped).rejects.toThrow('about to end')
    web.serve('/stopped', page('Not stopped'))
    await open(id, 1)
    expect((await read(id)).linkPreviews).toMatchObject([{ title: 'Not stopped' }])
  })
})

describe('a message that', () => {
  test('says something else by the time it is opened gets the previews of that', async () => {
    let edited: Promise<unknown> | null = null
    const id = await send(web.url('/edited'))
    web.serve('/edited', (_, response) => {
      edited = alice.client.request(EditMessageDocument, { input: { messageId: id, content: web.url('/euc-kr') } })
      void edited.then(() => response.writeHead(200, { 'content-type': 'text/html' }).end(page('Edited')))
    })
    await open(id)
    await edited
    expect((await read(id)).linkPreviews).toEqual([])
    await open(id)
    expect((await read(id)).linkPreviews).toMatchObject([{ title: '마루 소식' }])
  })

  test('is deleted, never was, or holds no link is left alone', async () => {
    const gone = await send(web.url('/gone'))
    await alice.client.request(DeleteMessageDocument, { messageId: gone })
    await open(gone)
    await jobs[0]!({ channelId: '1', messageId: '1' })
    await open(await send('no link'))
    expect(web.asked).toEqual([])
  })
})
