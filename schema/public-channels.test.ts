import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PublicChannelsDocument, type PublicChannelsQuery } from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, newChannel, refusal } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

describe('public channels', () => {
  const names = async (query: string | null, first = 100) => {
    const { publicChannels } = await carol.client.request(PublicChannelsDocument, { query, first })
    return publicChannels.edges.map(({ node }) => node.name)
  }

  test('are found by any part of their name, whatever its case and form', async () => {
    for (const name of ['자바 공부방', 'İzmir', 'Straße', '100% arabica', 'snake_case', String.raw`back\slash`]) {
      await newChannel(alice, { kind: 'PUBLIC', name: name.normalize('NFD') })
    }
    await newChannel(alice, { kind: 'GROUP', name: 'İzmir for few' })
    expect(await names('공부')).toEqual(['자바 공부방'])
    expect(await names('공부'.normalize('NFD'))).toEqual(['자바 공부방'])
    expect(await names('ARABICA')).toEqual(['100% arabica'])
    expect(await names('0%')).toEqual(['100% arabica'])
    expect(await names('e_c')).toEqual(['snake_case'])
    expect(await names('k\\s')).toEqual([String.raw`back\slash`])
    expect(await names('İZM')).toEqual(['İzmir'])
    expect(await names('no such channel')).toEqual([])
    expect(await names(' ')).toEqual(await names(null))
    expect(await names('%%')).toEqual([])
  })

  test('are paged by name without a hole or a repeat', async () => {
    for (const name of ['Tie', 'tie', 'TIE', 'tİe', 'ties', 'Äther', 'zebra', '가나다', '🦓']) {
      await newChannel(bob, { kind: 'PUBLIC', name })
    }
    const all = await names(null)
    expect(all.length).toBeGreaterThan(12)
    for (const first of [1, 2, 5]) {
      const found: (string | null)[] = []
      for (let after: string | null = null; ; ) {
        const page: PublicChannelsQuery = await carol.client.request(PublicChannelsDocument, { first, after })
        const { edges, pageInfo } = page.publicChannels
        found.push(...edges.map(({ node }) => node.name))
        if (!pageInfo.hasNextPage) break
        after = pageInfo.endCursor
      }
      expect(found).toEqual(all)
    }
  })

  const odd = ['\u0000', '\ud800', 'q'.repeat(81), `q${'\u0301'.repeat(1_000_000)}`]
  test.each(odd)('refuse query %#', async (query) => {
    expect(await refusal(names(query))).toEqual(bad('query'))
  })
})
