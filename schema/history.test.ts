import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HistoryDocument, type HistoryQueryVariables } from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, missing, newChannel, operation, refusal, say, sayMany } from './testing/operations.ts'

let app: TestApp
let alice: Person
let channelId: string
/** Holds `1`, `2`, … `150`; message 1 is at place 0. */
const size = 150
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
  channelId = await newChannel(alice)
  await sayMany(alice, channelId, size)
})
afterAll(() => app.stop())

type Page = Omit<HistoryQueryVariables, 'channelId'>

async function read(page: Page, id = channelId, person = alice) {
  const { channel } = await person.client.request(HistoryDocument, { channelId: id, ...page })
  return channel!.messages
}

/** A page in short: its first and last seq, and whether there is more before and after. */
async function span(page: Page) {
  const { edges, pageInfo } = await read(page)
  const seqs = edges.map(({ node }) => node.seq)
  expect(seqs).toEqual(seqs.map((_, place) => seqs[0]! + place))
  expect(edges.map(({ node }) => node.content)).toEqual(seqs.map(String))
  expect(pageInfo.startCursor).toBe(edges[0]?.cursor ?? null)
  expect(pageInfo.endCursor).toBe(edges.at(-1)?.cursor ?? null)
  return [seqs[0], seqs.at(-1), pageInfo.hasPreviousPage, pageInfo.hasNextPage]
}

const cursorOf = async (seq: number) => (await read({ aroundSeq: seq, first: 1 })).edges[0]!.cursor
const at = async (seq: number) => (await read({ aroundSeq: seq, first: 1 })).edges[0]!.node

describe('a page', () => {
  test('without arguments is the newest fifty', async () => {
    expect(await span({})).toEqual([101, 150, true, false])
  })

  test('forwards', async () => {
    expect(await span({ first: 10 })).toEqual([1, 10, false, true])
    expect(await span({ first: 100 })).toEqual([1, 100, false, true])
    expect(await span({ first: 10, after: await cursorOf(95) })).toEqual([96, 105, true, true])
    expect(await span({ after: await cursorOf(95) })).toEqual([96, 145, true, true])
    expect(await span({ first: 10, after: await cursorOf(145) })).toEqual([146, 150, true, false])
    expect(await span({ first: 10, after: await cursorOf(150) })).toEqual([undefined, undefined, false, false])
  })

  test('backwards', async () => {
    expect(await span({ last: 10 })).toEqual([141, 150, true, false])
    expect(await span({ last: 10, before: await cursorOf(95) })).toEqual([85, 94, true, true])
    expect(await span({ before: await cursorOf(95) })).toEqual([45, 94, true, true])
    expect(await span({ last: 10, before: await cursorOf(5) })).toEqual([1, 4, false, true])
    expect(await span({ last: 10, before: await cursorOf(1) })).toEqual([undefined, undefined, false, false])
  })

  test('around a message, a seq or a moment', async () => {
    const { id, createdAt } = await at(75)
    expect(await span({ around: id, first: 10 })).toEqual([70, 79, true, true])
    expect(await span({ around: id, last: 11 })).toEqual([70, 80, true, true])
    expect(await span({ aroundSeq: 75 })).toEqual([50, 99, true, true])
    expect(await span({ aroundSeq: 1, first: 10 })).toEqual([1, 10, false, true])
    expect(await span({ aroundSeq: 149, first: 10 })).toEqual([141, 150, true, false])
    for (const aroundSeq of [151, 0x7fff_ffff]) {
      expect(await span({ aroundSeq, first: 2 })).toEqual([149, 150, true, false])
    }
    for (const aroundSeq of [0, -1, -0x8000_0000]) {
      expect(await span({ aroundSeq, first: 2 })).toEqual([1, 2, false, true])
    }

    // Messages of one millisecond share their moment: the window lies around the first of them.
    const { edges } = await read({ aroundDate: createdAt, first: 1 })
    expect(edges[0]!.node.createdAt).toBe(createdAt)
    const before = (await at(edges[0]!.node.seq - 1)).createdAt
    expect(before < createdAt).toBe(true)
  })

  test('around a moment beyond the ends is at the ends', async () => {
    for (const aroundDate of ['1000-01-01T00:00:00Z', '1999-12-31T23:59:59Z', (await at(1)).createdAt]) {
      expect(await span({ aroundDate, first: 2 })).toEqual([1, 2, false, true])
    }
    for (const aroundDate of ['2068-01-01T00:00:00Z', '2069-09-06T15:47:35.552Z', '9999-12-31T23:59:59.999Z']) {
      expect(await span({ aroundDate, first: 2 })).toEqual([149, 150, true, false])
    }
  })

  test('has no hole and no repeat when it is followed by the next, in both directions', async () => {
    for (const size of [1, 7, 100]) {
      const forwards: string[] = []
      for (let after: string | null = null; ; ) {
        const { edges, pageInfo } = await read({ first: size, after })
        forwards.push(...edges.map(({ node }) => node.content))
        if (!pageInfo.hasNextPage) break
        after = pageInfo.endCursor as string
      }
      const backwards: string[] = []
      for (let before: string | null = null; ; ) {
        const { edges, pageInfo } = await read({ last: size, before })
        backwards.unshift(...edges.map(({ node }) => node.content))
        if (!pageInfo.hasPreviousPage) break
        before = pageInfo.startCursor as string
      }
      const all = Array.from({ length: 150 }, (_, place) => String(place + 1))
      expect(forwards).toEqual(all)
      expect(backwards).toEqual(all)
    }
  })

  test('of a channel in which nothing was said is empty', async () => {
    const empty = await newChannel(alice)
    for (const page of [{}, { first: 5 }, { last: 5 }, { aroundSeq: 1 }, { aroundDate: '2026-01-01T00:00:00Z' }]) {
      const { edges, pageInfo } = await read(page, empty)
      expect(edges).toEqual([])
      expect(pageInfo).toEqual({ hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null })
    }
  })

  test('stops growing at a million bytes, and goes on where it stopped', async () => {
    const id = await newChannel(alice)
    // 300,000 bytes each.
    for (let number = 0; number < 5; number++) await say(alice, id, String(number) + '한'.repeat(99_999))
    await say(alice, id, 'small')
    const short = async (page: Page) => {
      const { edges, pageInfo } = await read(page, id)
      return { seqs: edges.map(({ node }) => node.seq), ...pageInfo }
    }
    const oldest = await short({ first: 10 })
    expect(oldest).toMatchObject({ seqs: [1, 2, 3], hasPreviousPage: false, hasNextPage: true })
    const next = await short({ first: 10, after: oldest.endCursor })
    expect(next).toMatchObject({ seqs: [4, 5, 6], hasPreviousPage: true, hasNextPage: false })
    expect(await short({ last: 10 })).toMatchObject({ seqs: [3, 4, 5, 6], hasPreviousPage: true, hasNextPage: false })
    expect((await short({ aroundSeq: 3, first: 10 })).seqs).toEqual([2, 3, 4])
  })
})

test('pages of several channels in one answer are as large as one page', async () => {
  const bob = await app.signUp('bob')
  for (const name of ['a', 'b', 'c']) {
    const id = await newChannel(bob, { name })
    // 150,000 bytes each.
    for (let number = 1; number <= 4; number++) await say(bob, id, number + '한'.repeat(50_000))
  }
  const query = operation(`query Pages { channels { edges { node { name messages(last: 4) {
    edges { node { seq } } pageInfo { hasPreviousPage }
  } } } } }`)
  const { channels } = await bob.client.request(query)
  const pages = channels.edges.map(({ node }: { node: { messages: { edges: { node: { seq: number } }[] } } }) =>
    node.messages.edges.map(({ node }) => node.seq),
  )
  expect(pages).toEqual([[3, 4], [3, 4], [3, 4]])
  for (const { node } of channels.edges) expect(node.messages.pageInfo).toEqual({ hasPreviousPage: true })
})

describe('what contradicts itself is refused', () => {

  test.each<[Page, string]>([
    [{ first: 0 }, 'first'],
    [{ first: -1 }, 'first'],
    [{ first: 101 }, 'first'],
    [{ first: 0x7fff_ffff }, 'first'],
    [{ last: 0 }, 'last'],
    [{ last: 101 }, 'last'],
    [{ last: -0x8000_0000 }, 'last'],
    [{ first: 1, last: 1 }, 'last'],
    [{ aroundSeq: 1, aroundDate: '2026-01-01T00:00:00Z' }, 'aroundDate'],
    [{ around: 'm1_1', aroundSeq: 1 }, 'aroundSeq'],
    [{ around: 'c1' }, 'around'],
    [{ around: '' }, 'around'],
    [{ after: 'x' }, 'after'],
    [{ before: '' }, 'before'],
    [{ after: '\u0000' }, 'after'],
    [{ after: '\ud800' }, 'after'],
    [{ after: Buffer.from('["1","2"]').toString('base64url') }, 'after'],
    [{ after: Buffer.from('["\\u0000"]').toString('base64url') }, 'after'],
    [{ after: Buffer.from('[9999999999]').toString('base64url') }, 'after'],
    [{ after: Buffer.from('[-1]').toString('base64url') }, 'after'],
    [{ after: Buffer.from('[1.5]').toString('base64url') }, 'after'],
    [{ after: Buffer.from(`${'['.repeat(10_000)}${']'.repeat(10_000)}`).toString('base64url') }, 'after'],
  ])('%j', async (page, field) => {
    expect(await refusal(read(page))).toEqual(bad(field))
  })

  test('cursors with the other direction, or with a window', async () => {
    const cursor = await cursorOf(75)
    expect(await refusal(read({ first: 1, before: cursor }))).toEqual(bad('before'))
    expect(await refusal(read({ last: 1, after: cursor }))).toEqual(bad('after'))
    expect(await refusal(read({ aroundSeq: 1, before: cursor }))).toEqual(bad('aroundSeq'))
    expect(await refusal(read({ aroundSeq: 1, after: cursor }))).toEqual(bad('aroundSeq'))
  })

  test('a message of another channel, or of none', async () => {
    const elsewhere = await say(alice, await newChannel(alice), 'there')
    expect(await refusal(read({ around: elsewhere.id }))).toEqual(missing('around'))
    expect(await refusal(read({ around: `m${channelId.slice(1)}_1` }))).toEqual(missing('around'))
  })

  test('an alias at fault is told by its place in the answer', async () => {
    const query = operation(`query Aliased($id: ID!) { channel(id: $id) {
      one: messages { edges { cursor } } other: messages(first: 0) { edges { cursor } }
    } }`)
    const { errors } = await failure(alice.client.request(query, { id: channelId }))
    expect(errors.map(({ path }) => path)).toEqual([['channel', 'other']])
  })
})
