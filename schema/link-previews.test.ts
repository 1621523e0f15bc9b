import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  DeleteMessageDocument,
  EditMessageDocument,
  type LinkPreviewFragment,
  MessageLinkPreviewsDocument,
  RemoveLinkPreviewDocument,
} from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { listen, subscriptions } from '../server/testing/listen.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, conflicting, failure, newChannel, operation, refusal, say } from './testing/operations.ts'

const [one, two, three] = ['https://example.com/1', 'https://example.com/2', 'https://example.com/3']

let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
let channelId: string
let messageId: string
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  channelId = await newChannel(alice, { kind: 'PUBLIC', name: 'links' }, [bob])
})
beforeEach(async () => {
  messageId = (await say(bob, channelId, `${one} and ${two}`)).id
})
afterAll(() => app.stop())

function keyOf(id: string) {
  const parsed = parseGlobalId(id)
  if (parsed?.type !== 'Message') throw new Error('A message has the id of one')
  return { channelId: parsed.channelId, messageId: parsed.messageId }
}

const preview = (url: string, title = `Title of ${url}`) => ({
  url, title, description: null, siteName: null, imageKey: null, imageType: null, imageWidth: null, imageHeight: null,
})

/** As the worker does, once it has found something out. */
const put = (urls: string[], content = `${one} and ${two}`, title?: string) =>
  app.app.services.linkPreviews.put(keyOf(messageId), content, urls.map((url) => preview(url, title)))

async function read(person = alice, on: Pick<Replica, 'client'> = app) {
  const { node } = await on.client(person.token).request(MessageLinkPreviewsDocument, { id: messageId })
  if (node?.__typename !== 'Message') throw new Error('No such message')
  return node
}

const urls = (previews: readonly LinkPreviewFragment[]) => previews.map((each) => each.url)

async function remove(person: Person, url?: string) {
  const { removeLinkPreview } = await person.client.request(RemoveLinkPreviewDocument, { messageId, url })
  return urls(removeLinkPreview.message.linkPreviews)
}

async function edit(content: string) {
  await bob.client.request(EditMessageDocument, { input: { messageId, content } })
}

describe('previews', () => {
  test('stand on the message in the order of its links, whenever they came', async () => {
    expect((await read()).linkPreviews).toEqual([])
    await put([two])
    await put([one])
    const shown = { description: null, siteName: null, imageUrl: null, imageWidth: null, imageHeight: null }
    expect((await read(alice, replica)).linkPreviews).toEqual([
      { url: one, title: `Title of ${one}`, ...shown },
      { url: two, title: `Title of ${two}`, ...shown },
    ])
  })

  test('that come twice change nothing; others take their place', async () => {
    await put([one])
    const { version } = await read()
    await Promise.all([put([one]), put([one]), put([])])
    expect((await read()).version).toBe(version)
    await put([one], undefined, 'New title')
    expect((await read()).linkPreviews).toMatchObject([{ title: 'New title' }])
    expect((await read()).version).toBeGreaterThan(version)
  })

  test('of what the message does not say, or not any more, are left out', async () => {
    await put([three])
    await put([one], 'something else')
    expect((await read()).linkPreviews).toEqual([])
    const { version } = await read()
    await app.app.services.linkPreviews.put({ ...keyOf(messageId), messageId: '1' }, one, [preview(one)])
    await app.app.services.linkPreviews.put({ channelId: '1', messageId: '1' }, one, [preview(one)])
    expect((await read()).version).toBe(version)
  })

  test('are told to those who listen, once', async () => {
    const heard = operation(`subscription Heard($channelId: ID!) {
      messages(channelId: $channelId) { kind message { id linkPreviews { url title } } }
    }`)
    const listening = listen<any, any>(replica, alice, heard, { channelId })
    await expect.poll(() => subscriptions(replica, 'messages')).toBe(1)
    const heardOf = () => listening.events.map((event) => event.messages)
    await put([one])
    await expect.poll(heardOf).toHaveLength(1)
    await put([one])
    await put([two])
    await expect.poll(heardOf).toMatchObject([
      { kind: 'ENRICHED', message: { id: messageId, linkPreviews: [{ url: one }] } },
      { kind: 'ENRICHED', message: { id: messageId, linkPreviews: [{ url: one }, { url: two }] } },
    ])
    listening.stop()
  })

  test('of many messages take one statement, and those of messages that nothing happened to take none', async () => {
    const place = await newChannel(alice, { name: 'many' })
    const page = operation(`query Page($id: ID!) {
      channel(id: $id) { messages(last: 50) { edges { node { linkPreviews { url title } } } } }
    }`)
    const asked = async () => {
      app.statements.length = 0
      const answer = await alice.client.request(page, { id: place })
      return { answer, statements: app.statements.filter((text) => text.includes('link_previews')).length }
    }
    const sent = [await say(alice, place, one), await say(alice, place, two)]
    expect((await asked()).statements).toBe(0)
    for (const { id, content } of sent) await app.app.services.linkPreviews.put(keyOf(id), content, [preview(content)])
    const { answer, statements } = await asked()
    expect(statements).toBe(1)
    const shown = answer.channel.messages.edges.map((edge: any) => urls(edge.node.linkPreviews))
    expect(shown.slice(-2)).toEqual([[one], [two]])
  })
})

describe('removing', () => {
  test('takes one away, or all, for good', async () => {
    await put([one, two])
    expect(await remove(bob, one)).toEqual([two])
    await put([one, two], undefined, 'Again')
    expect(urls((await read()).linkPreviews)).toEqual([two])
    expect(await remove(bob)).toEqual([])
    await put([one, two])
    expect((await read()).linkPreviews).toEqual([])
  })

  test('reaches what has not been opened yet', async () => {
    expect(await remove(bob, 'HTTPS://example.com/1')).toEqual([])
    await put([one, two])
    expect(urls((await read()).linkPreviews)).toEqual([two])
  })

  test('again changes nothing', async () => {
    await remove(bob, one)
    const { version } = await read()
    await remove(bob, one)
    expect((await read()).version).toBe(version)
  })

  test('is for its author and for who keeps order', async () => {
    await put([one, two])
    const own = (await say(alice, channelId, one)).id
    expect(await refusal(bob.client.request(RemoveLinkPreviewDocument, { messageId: own }))).toMatchObject({ code: 'FORBIDDEN' })
    expect(await refusal(remove(carol))).toMatchObject({ code: 'FORBIDDEN' })
    expect((await failure(app.client().request(RemoveLinkPreviewDocument, { messageId }))).code).toBe('UNAUTHENTICATED')
    expect(await remove(alice, one)).toEqual([two])
  })

  test('says what it cannot do', async () => {
    expect(await refusal(remove(bob, three))).toEqual(bad('url'))
    const gone = await say(bob, channelId, one)
    await bob.client.request(DeleteMessageDocument, { messageId: gone.id })
    expect(await refusal(bob.client.request(RemoveLinkPreviewDocument, { messageId: gone.id }))).toEqual(conflicting('messageId'))
    expect(await refusal(bob.client.request(RemoveLinkPreviewDocument, { messageId: channelId }))).toEqual(bad('messageId'))
  })
})

describe('what is said', () => {
  test('anew keeps the previews of links that stay, in their new places, and removed ones removed', async () => {
    await put([one, two])
    await edit(`${three} ${two} ${one}`)
    expect(urls((await read()).linkPreviews)).toEqual([two, one])
    await put([three], `${three} ${two} ${one}`)
    expect(urls((await read()).linkPreviews)).toEqual([three, two, one])
    await remove(bob, two)
    await edit(`${two} ${three}`)
    expect(urls((await read()).linkPreviews)).toEqual([three])
    await put([two, one], `${two} ${three}`)
    expect(urls((await read()).linkPreviews)).toEqual([three])
  })

  test('no more is not shown either', async () => {
    await put([one, two])
    await bob.client.request(DeleteMessageDocument, { messageId })
    expect((await read()).linkPreviews).toEqual([])
    await put([one, two])
    expect((await read()).linkPreviews).toEqual([])
    const rows = await app.app.services.linkPreviews.findMany([keyOf(messageId)])
    expect(rows).toEqual([])
  })
})
