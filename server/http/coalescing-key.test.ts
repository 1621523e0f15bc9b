import {
  getNamedType,
  type GraphQLCompositeType,
  isAbstractType,
  isCompositeType,
  isObjectType,
  isRequiredArgument,
  isUnionType,
  parse,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { describe, expect, test } from 'vitest'
import { schema } from '../../schema/index.ts'
import { createRandom, type Random } from '../testing/random.ts'
import type { Viewer } from '../viewer.ts'
import { dependsOnViewer, resumeVariables } from './coalescing-key.ts'
import { createCoalescing } from './coalescing.ts'
import { defaultLimits } from './limits.ts'
import { createOperations, type Operation, type OperationRequest } from './operations.ts'

/** The project's own schema, and limits that keep nothing out: what is asked here is who shares an answer. */
const operations = createOperations(schema, { ...defaultLimits, maxTokens: 100_000, maxAliases: 1_000, maxDepth: 100, maxCost: 1e12 })
const coalescing = createCoalescing({
  operations,
  createContext: () => ({}),
  format(error) {
    throw error
  },
})

function prepare(query: string, variables: Record<string, unknown> = {}, operationName: string | null = null): Operation {
  const request: OperationRequest = { query, variables, operationName }
  const operation = operations.prepare(request)
  if (!('type' in operation)) throw new AggregateError(operation, `${query}: ${String(operation[0])}`)
  return operation
}

const viewerOf = (userId: string, sessionId = `session of ${userId}`): Viewer => ({ userId, sessionId, expiresAt: null })
const [alice, bob] = [viewerOf('1'), viewerOf('2')]

/** Whether two subscriptions get the same answers. */
function isShared(one: [operation: Operation, viewer?: Viewer], other: [operation: Operation, viewer?: Viewer]): boolean {
  const groups = [one, other].map(([operation, viewer = alice]) => coalescing.join(operation, viewer))
  for (const group of groups) coalescing.leave(group)
  expect(coalescing.size()).toBe(0)
  return groups[0] === groups[1]
}

const id = 'Q2hhbm5lbDox'
const plain = 'subscription ($id: ID!, $after: String) { messages(channelId: $id, after: $after) { cursor } }'
const paged = `subscription ($id: ID!, $first: Int = 3, $isLong: Boolean = false) {
  messages(channelId: $id) { message { content reactions { userIds(first: $first) } seq @include(if: $isLong) } } }`

describe('subscriptions share their answers', () => {
  test('whoever asks, wherever they resume, in whatever order their variables come', () => {
    const resumed = prepare(plain, { after: 'a cursor', id })
    expect(isShared([prepare(plain, { id })], [resumed])).toBe(true)
    expect(isShared([prepare(plain, { id, after: null }), alice], [resumed, bob])).toBe(true)
  })

  test('where a variable has its default and where the same is given', () => {
    expect(isShared([prepare(paged, { id })], [prepare(paged, { isLong: false, first: 3, id })])).toBe(true)
  })

  test('not those with other variables, wherever these stand', () => {
    const usual = prepare(paged, { id })
    for (const variables of [{ first: 4 }, { first: null }, { isLong: true }, { id: 'Q2hhbm5lbDoy' }]) {
      expect([variables, isShared([usual], [prepare(paged, { id, ...variables })])]).toEqual([variables, false])
    }
  })

  test('not the operations of one document', () => {
    const two = `subscription One { inbox { ...E } } subscription Two { inbox { ...E __typename } }
      fragment E on InboxEvent { ... on Event { cursor } }`
    expect(isShared([prepare(two, {}, 'One')], [prepare(two, {}, 'One')])).toBe(true)
    expect(isShared([prepare(two, {}, 'One')], [prepare(two, {}, 'Two')])).toBe(false)
  })

  test('not those of different people where the selection depends on who asks, but those of one person’s devices', () => {
    const own = prepare(`subscription ($id: ID!) { messages(channelId: $id) { message { channel { unreadCount } } } }`, { id })
    expect(isShared([own, alice], [own, bob])).toBe(false)
    expect(isShared([own, alice], [own, viewerOf('1', 'another session')])).toBe(true)
  })
})

describe('a variable says where to resume, and nothing else', () => {
  const found = (query: string, variables: Record<string, unknown> = { id, x: 'a' }) => [...resumeVariables(prepare(query, variables).args)]

  test('as the argument of the field at the root', () => {
    expect(found('subscription ($id: ID!, $x: String) { messages(channelId: $id, after: $x) { cursor } }')).toEqual(['x'])
    expect(found('subscription ($x: [String!]) { mine: inbox(after: $x) { __typename } }', { x: ['a'] })).toEqual(['x'])
  })

  test('not where it is used a second time, or for a page within the answer', () => {
    const page = 'channel { members(after: $x) { totalCount } }'
    for (const query of [
      `subscription ($id: ID!, $x: String) { messages(channelId: $id, after: $x) { message { ${page} } } }`,
      `subscription ($id: ID!, $x: String) { messages(channelId: $id, after: $x) { message { ...M } } } fragment M on Message { ${page} }`,
      `subscription ($id: ID!, $x: String) { messages(channelId: $id) { message { ${page} } } }`,
    ]) {
      expect([query, found(query)]).toEqual([query, []])
      expect(isShared([prepare(query, { id, x: 'a' })], [prepare(query, { id, x: 'b' })])).toBe(false)
    }
  })

  test('not where it is one of several values, or stands in a fragment: then nobody shares', () => {
    expect(found('subscription ($x: String!) { inbox(after: [$x]) { __typename } }')).toEqual([])
    const fragment = `subscription ($x: [String!]) { ...S } fragment S on Subscription { inbox(after: $x) { __typename } }`
    expect(found(fragment, { x: ['a'] })).toEqual([])
  })
})

describe('a selection depends on who asks', () => {
  const depends = (selection: string, more = '') =>
    dependsOnViewer(prepare(`subscription { inbox { ... on MessageEvent { message { ${selection} } } } } ${more}`).args)

  test.each([
    ['where a field does', 'reactions { viewerHasReacted }'],
    ['under another name', 'c: channel { n: unreadCount }'],
    ['in a fragment', '...A', 'fragment A on Message { ...B } fragment B on Message { author { presence { status } } }'],
    ['in a fragment without a type', '... @include(if: true) { channel { unreadCount } }'],
    ['of an interface’s type', '... on Node { ... on Message { channel { viewerDraft } } }'],
    ['that is left out', 'channel { unreadCount @include(if: false) }'],
    ['after much that does not', 'id content author { id } replyTo { author { id } channel { id unreadCount } }'],
    [
      'in a fragment that is spread for the second time',
      'author { ...U } replyTo { author { ...U } ...M }',
      'fragment U on User { username } fragment M on Message { author { ...U } channel { ...C } } fragment C on Channel { viewerDraft }',
    ],
  ])('%s', (_, selection, more = '') => {
    expect(depends(selection, more)).toBe(true)
  })

  test('and not where there is none', () => {
    expect(depends('id seq content author { ...U } mentions { ...U } replyTo { id }', 'fragment U on User { id displayName }')).toBe(false)
  })

  test.each([1, 2, 3])('as is found by looking at each field that may be resolved (seed %i)', (seed) => {
    const random = createRandom(seed)
    const counts = { yes: 0, no: 0 }
    for (let round = 0; round < 150; round++) {
      const query = randomSubscription(random)
      const expected = selectsMarked(query)
      counts[expected ? 'yes' : 'no']++
      expect([query, dependsOnViewer(prepare(query).args)]).toEqual([query, expected])
    }
    expect(Math.min(counts.yes, counts.no)).toBeGreaterThan(10)
  })
})

/** The same in another way: graphql says of what type each selection is. */
function selectsMarked(query: string): boolean {
  const types = new TypeInfo(schema)
  let isMarked = false
  const Field = () => {
    const [parent, field] = [types.getParentType(), types.getFieldDef()]
    if (!parent || !field) return
    const possible = isAbstractType(parent) ? schema.getPossibleTypes(parent) : []
    for (const each of [field, ...possible.map((type) => type.getFields()[field.name])]) {
      if (each?.extensions.dependsOnViewer === true) isMarked = true
    }
  }
  visit(parse(query), visitWithTypeInfo(types, { Field }))
  return isMarked
}

/** A subscription with fields, aliases, fragments of both kinds, interfaces and unions, some levels deep. */
function randomSubscription(random: Random): string {
  const fragments: string[] = []
  let names = 0

  function selectionOf(type: GraphQLCompositeType, depth: number): string {
    const parts = ['__typename']
    const count = 1 + random.below(3)
    for (let nth = 0; nth < count; nth++) parts.push(partOf(type, depth))
    return `{ ${parts.join(' ')} }`
  }

  function partOf(type: GraphQLCompositeType, depth: number): string {
    if (isUnionType(type) || random.chance(0.3)) {
      // Whatever shares a type with this one may be asked for within it.
      const related = Object.values(schema.getTypeMap()).filter(isCompositeType).filter((other) => overlaps(type, other))
      const inner = random.pick(related)
      if (random.chance(0.5)) return `... on ${inner.name} ${selectionOf(inner, depth + 1)}`
      const name = `F${++names}`
      fragments.push(`fragment ${name} on ${inner.name} ${selectionOf(inner, depth + 1)}`)
      return random.chance(0.5) ? `...${name} ...${name}` : `...${name}`
    }
    const fields = Object.values(type.getFields()).filter(
      (field) => !field.args.some(isRequiredArgument) && (depth < 6 || !isCompositeType(getNamedType(field.type))),
    )
    if (fields.length === 0) return '__typename'
    const field = random.pick(fields)
    const inner = getNamedType(field.type)
    // Each under a name of its own: two that differ may not have the same.
    return `a${++names}: ${field.name} ${isCompositeType(inner) ? selectionOf(inner, depth + 1) : ''}`
  }

  const event = schema.getType('InboxEvent')
  if (!isCompositeType(event)) throw new Error('An inbox has events')
  return `subscription { inbox ${selectionOf(event, 0)} } ${fragments.join(' ')}`
}

function overlaps(one: GraphQLCompositeType, other: GraphQLCompositeType): boolean {
  const typesOf = (type: GraphQLCompositeType) => (isObjectType(type) ? [type] : schema.getPossibleTypes(type))
  return typesOf(one).some((type) => typesOf(other).includes(type))
}
