import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, failure, newChannel, operation, refusal, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let group: string
let square: string
let inGroup: string
let inSquare: string
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  group = await newChannel(alice, { name: 'few' })
  square = await newChannel(alice, { kind: 'PUBLIC', name: 'square' })
  inGroup = (await say(alice, group, 'hi')).id
  inSquare = (await say(alice, square, 'hello')).id
})
afterAll(() => app.stop())

const nodes = operation<any, { ids: string[] }>(`query Nodes($ids: [ID!]!) {
  nodes(ids: $ids) { __typename id ... on User { username } ... on Channel { name } ... on Message { content } }
}`)
const node = operation<any, { id: string }>(`query Node($id: ID!) { node(id: $id) { __typename id } }`)

test('whatever has an id is found by it, in the order of the ids', async () => {
  const ids = [inGroup, bob.id, square, inGroup, group, inSquare]
  expect((await alice.client.request(nodes, { ids })).nodes).toEqual([
    { __typename: 'Message', id: inGroup, content: 'hi' },
    { __typename: 'User', id: bob.id, username: 'bob' },
    { __typename: 'Channel', id: square, name: 'square' },
    { __typename: 'Message', id: inGroup, content: 'hi' },
    { __typename: 'Channel', id: group, name: 'few' },
    { __typename: 'Message', id: inSquare, content: 'hello' },
  ])
  expect((await alice.client.request(node, { id: inGroup })).node).toEqual({ __typename: 'Message', id: inGroup })
})

test('what one may not see is not there', async () => {
  const ids = [group, inGroup, square, inSquare, alice.id]
  const found: ({ id: string } | null)[] = (await bob.client.request(nodes, { ids })).nodes
  expect(found.map((row) => row?.id ?? null)).toEqual([null, null, square, null, alice.id])
})

test('an id that was never given out stands for nothing', async () => {
  const channel = group.slice(1)
  const ids = [
    '',
    'x',
    'c1',
    'u1',
    'm1_1',
    `m${channel}`,
    `m${channel}_1`,
    `m${channel}_1_1`,
    `u${channel}`,
    `c${channel}_1`,
    `C${channel}`,
    `c${channel.toUpperCase()}!`,
    'czzzzzzzzzzzzz',
    'c-1',
    `c${'0'.repeat(1_000)}`,
    '\u0000',
    '\ud800',
    'c\u0000',
    '🦉',
  ]
  const found = (await alice.client.request(nodes, { ids })).nodes
  expect(found).toEqual(ids.map(() => null))
  for (const id of ids) expect((await alice.client.request(node, { id })).node).toBeNull()
})

test('a hundred at once, for whoever is signed in', async () => {
  const ids = Array.from({ length: 100 }, () => alice.id)
  expect((await alice.client.request(nodes, { ids })).nodes).toHaveLength(100)
  expect(await refusal(alice.client.request(nodes, { ids: [...ids, bob.id] }))).toEqual(bad('ids'))
  expect((await alice.client.request(nodes, { ids: [] })).nodes).toEqual([])
  expect((await failure(app.client().request(nodes, { ids: [alice.id] }))).code).toBe('UNAUTHENTICATED')
})
