import sharp from 'sharp'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { DeleteMessageDocument, EditMessageDocument, MessageLinkPreviewsDocument } from '../../client-sdk/index.ts'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { startWebServer, type WebServer } from './testing/web-server.ts'

let web: WebServer
let app: TestApp
let alice: Person
let channelId: string
beforeAll(async () => {
  web = await startWebServer()
  app = await startTestApp({ OUTBOUND_ALLOW: web.hosts.join(',') })
  await app.startWorkers()
  alice = await app.signUp('alice')
  channelId = await newChannel(alice)
})
afterAll(async () => {
  await app.stop()
  await web.close()
})

async function previews(id: string) {
  const { node } = await alice.client.request(MessageLinkPreviewsDocument, { id })
  if (node?.__typename !== 'Message') throw new Error('No such message')
  return node.linkPreviews
}

test('a link that is sent opens itself, and its picture comes from here', async () => {
  const { id } = await say(alice, channelId, `읽어 봐: ${web.url('/article')}에서`)
  await expect.poll(() => previews(id)).toMatchObject([{ url: web.url('/article'), title: '마루', imageWidth: 600, imageHeight: 400 }])
  const imageUrl = (await previews(id))[0]!.imageUrl!
  expect(new URL(imageUrl).host).not.toBe(web.hosts[0])
  const response = await fetch(imageUrl)
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toMatch(/^image\/(webp|jpeg)$/)
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  expect((await sharp(Buffer.from(await response.arrayBuffer())).metadata()).width).toBe(600)
  // The same for a while, so that it is fetched once.
  expect((await previews(id))[0]!.imageUrl).toBe(imageUrl)
})

test('what is edited is opened anew, and what is deleted shows nothing', async () => {
  const { id } = await say(alice, channelId, web.url('/plain'))
  await expect.poll(() => previews(id)).toMatchObject([{ title: 'Plain & simple' }])
  await alice.client.request(EditMessageDocument, { input: { messageId: id, content: web.url('/euc-kr') } })
  await expect.poll(() => previews(id)).toMatchObject([{ title: '마루 소식' }])
  await alice.client.request(DeleteMessageDocument, { messageId: id })
  expect(await previews(id)).toEqual([])
})

test('a host that everybody wants keeps nobody from another', async () => {
  const popular = await startWebServer()
  onTestFinished(() => popular.close())
  const app = await startTestApp({ OUTBOUND_ALLOW: [...web.hosts, ...popular.hosts].join(',') })
  onTestFinished(() => app.stop())
  await app.startWorkers()
  const bob = await app.signUp('bob')
  const room = await newChannel(bob)
  // At one a second these take half a minute.
  for (let nth = 0; nth < 30; nth++) await say(bob, room, popular.url(`/plain?${nth}`))
  const { id } = await say(bob, room, web.url('/plain?other'))
  const title = async () => {
    const { node } = await bob.client.request(MessageLinkPreviewsDocument, { id })
    return node?.__typename === 'Message' ? node.linkPreviews[0]?.title : null
  }
  await expect.poll(title, { timeout: 15_000 }).toBe('Plain & simple')
  expect(popular.count('/plain')).toBeLessThan(25)
}, 60_000)
