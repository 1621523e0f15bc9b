import { buildSchema, getIntrospectionQuery, parse } from 'graphql'
import { describe, expect, test } from 'vitest'
import { costOf } from './cost.ts'
import { formatError } from './format-error.ts'
import { defaultLimits } from './limits.ts'
import type { HttpLimits } from './limits.ts'
import { createOperations } from './operations.ts'

const schema = buildSchema(/* GraphQL */ `
  type Query {
    name: String
    channel: Channel
    channels(first: Int, after: String): ChannelConnection!
    nodes(ids: [ID!]!): [Channel]!
  }
  type ChannelConnection {
    edges: [ChannelEdge!]!
    total: Int
  }
  type ChannelEdge {
    node: Channel!
  }
  type Channel {
    name: String
    parent: Channel
    tags: [Channel!]!
    userIds(first: Int): [ID!]!
    channels(first: Int, last: Int, around: ID): ChannelConnection!
    byIds(ids: [ID!]!): [Channel!]!
  }
`)

/** What is said against a document; an empty list if nothing is. */
function complaints(query: string, limits: Partial<HttpLimits> = {}, variables: Record<string, unknown> = {}) {
  const operation = createOperations(schema, { ...defaultLimits, ...limits }).prepare({ query, variables })
  if ('type' in operation) return []
  return operation.map((error) => {
    const { message, extensions } = formatError(error, { requestId: 'test', log: undefined as never })
    return `${extensions.code} ${message}`
  })
}

const times = (count: number, text: (i: number) => string) => Array.from({ length: count }, (_, i) => text(i)).join(' ')
const nested = (depth: number) => `{ channel { ${'parent { '.repeat(depth - 2)} name ${'}'.repeat(depth)}`
const tooComplex = (reason: string) => [`QUERY_TOO_COMPLEX The query is too complex: ${reason}.`]
const tooMany = (what: string, limit: number) => tooComplex(`it has more than ${limit} ${what}`)
const tooDeep = (limit: number) => tooComplex(`it is more than ${limit} fields deep`)

describe('the shape of a document', () => {
  test('introspection is within the limits, as GraphiQL asks for it', () => {
    const query = getIntrospectionQuery({
      descriptions: true,
      specifiedByUrl: true,
      directiveIsRepeatable: true,
      schemaDescription: true,
      inputValueDeprecation: true,
      oneOf: true,
    })
    expect(complaints(query)).toEqual([])
    expect(complaints(query, { maxDepth: 3 })).toEqual([])
    const amplified = '{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }'
    expect(complaints(amplified)).toEqual(['BAD_USER_INPUT Maximum introspection depth exceeded'])
    const repeated = `{ ${times(20, (i) => `a${i}: __schema { description }`)} }`
    expect(complaints(repeated, { maxCost: 10_000 })[0]).toMatch(/COMPLEX/)
  })

  test('tokens, comments not counted', () => {
    expect(complaints('{ name }', { maxTokens: 3 })).toEqual([])
    expect(complaints('{ name # and a comment\n }', { maxTokens: 3 })).toEqual([])
    expect(complaints('{ name name }', { maxTokens: 3 })).toEqual(tooMany('tokens', 3))
  })

  test('depth, through fragments', () => {
    expect(complaints(nested(5), { maxDepth: 5 })).toEqual([])
    expect(complaints(nested(6), { maxDepth: 5 })).toEqual(tooDeep(5))
    const fragments = 'fragment A on Channel { parent { ...B } } fragment B on Channel { parent { ... { name } } }'
    expect(complaints(`{ channel { ...A } } ${fragments}`, { maxDepth: 4 })).toEqual([])
    expect(complaints(`{ channel { ...A } } ${fragments}`, { maxDepth: 3 })).toEqual(tooDeep(3))
  })

  test('root fields, through fragments, in each operation', () => {
    const fragment = 'fragment F on Query { c: name d: name }'
    expect(complaints(`{ a: name b: name ...F } ${fragment}`, { maxRootFields: 4 })).toEqual([])
    expect(complaints(`{ a: name b: name ...F } ${fragment}`, { maxRootFields: 3 })).toEqual(tooMany('root fields', 3))
    expect(complaints('query A { a: name } query B { b: name }', { maxRootFields: 1 })[0]).toMatch(/operation name/)
  })

  test('aliases and directives', () => {
    const query = '{ channel { a: name b: name c: name @include(if: true) @skip(if: false) } }'
    expect(complaints(query, { maxAliases: 3, maxDirectives: 2 })).toEqual([])
    expect(complaints(query, { maxAliases: 2 })).toEqual(tooMany('aliases', 2))
    expect(complaints(query, { maxDirectives: 1 })).toEqual(tooMany('directives', 1))
  })

  test('fragments that contain themselves, or double themselves, are no way to keep the server busy', () => {
    const circle = '{ ...A } fragment A on Query { name ...B } fragment B on Query { name ...A }'
    expect(complaints(circle)[0]).toMatch(/itself/)
    const bomb = times(100, (i) => `fragment F${i} on Channel { ...F${i + 1} ...F${i + 1} }`)
    const started = performance.now()
    complaints(`{ channel { ...F0 } } ${bomb} fragment F100 on Channel { name }`)
    const twice = (next: string) => `{ a: parent { ...${next} } b: parent { ...${next} } }`
    const channels = times(12, (i) => `fragment C${i} on Channel ${twice(`C${i + 1}`)}`)
    expect(complaints(`{ channel { ...C0 } } ${channels} fragment C12 on Channel { name }`)).toEqual([])
    expect(performance.now() - started).toBeLessThan(1_000)
  })

  test('lists in lists', () => {
    const [complaint] = complaints(`{ nodes(ids: ${'['.repeat(100_000)}) }`, { maxTokens: 200_000 })
    expect(complaint).toMatch(/^QUERY_TOO_COMPLEX .*nested too deeply/)
  })

  test('the worst document that fits is refused or passed in a moment', () => {
    const worst = [
      `{ channel { ${times(490, () => 'parent { name }')} } }`,
      `{ channel { ${times(600, () => '... { name }')} } }`,
      `{ channel { ${'... { '.repeat(600)} name ${'}'.repeat(600)} } }`,
      '{ '.repeat(1_999),
      `{ nodes(ids: ${'['.repeat(1_990)}) }`,
      `{ ${times(150, (i) => `...F${i}`)} } ${times(150, (i) => `fragment F${i} on Query { channel { name } }`)}`,
    ]
    for (const query of worst) {
      const started = performance.now()
      complaints(query)
      expect(performance.now() - started).toBeLessThan(1_000)
    }
  })
})

describe('the cost of an operation', () => {
  function cost(query: string, variables: Record<string, unknown> = {}) {
    const document = parse(query)
    const operation = document.definitions.find((definition) => definition.kind === 'OperationDefinition')!
    const fragments = Object.fromEntries(
      document.definitions.flatMap((definition) =>
        definition.kind === 'FragmentDefinition' ? [[definition.name.value, definition]] : [],
      ),
    )
    return costOf(operation, { schema, fragments, variables, defaultPageSize: 50, maxPageSize: 100 })
  }

  test.each<[string, number, Record<string, unknown>?]>([
    ['{ name }', 0],
    ['{ channel { name userIds(first: 100) } }', 1],
    ['{ channel { parent { parent { name } } } }', 3],
    // One connection, ten edges and ten nodes.
    ['{ channels(first: 10) { edges { node { name } } } }', 21],
    ['{ channels { edges { node { name } } } }', 101],
    ['{ channels(first: 100000) { edges { node { name } } } }', 201],
    ['query ($n: Int) { channels(first: $n) { edges { node { name } } } }', 11, { n: 5 }],
    ['query ($n: Int) { channels(first: $n) { edges { node { name } } } }', 101, { n: null }],
    ['{ channel { channels(last: 5) { edges { node { name } } } } }', 12],
    ['{ channel { channels(first: 5, last: 7) { edges { node { name } } } } }', 16],
    ['{ channels(first: 10) { edges { node { channels(last: 10) { edges { node { name } } } } } } }', 231],
    ['{ channels(first: 10) { ...C } } fragment C on ChannelConnection { edges { node { name } } }', 21],
    ['{ nodes(ids: ["a", "b"]) { parent { name } } }', 4],
    ['query ($ids: [ID!]!) { nodes(ids: $ids) { name } }', 3, { ids: ['a', 'b', 'c'] }],
    ['{ channel { tags { name } } }', 4],
    ['{ __schema { types { name } } }', 1_000],
  ])('%s: %i', (query, expected, variables) => {
    expect(cost(query, variables)).toBe(expected)
  })

  test('bounds what one operation may ask for, and says so', () => {
    const page = (inner: string) => `channels(first: 100) { edges { node { ${inner} } } }`
    expect(complaints(`{ ${page('name')} }`)).toEqual([])
    expect(complaints(`{ ${page(page(page('name')))} }`)).toEqual(
      tooComplex('it asks for about 2030301 objects, and the limit is 25000'),
    )
    const byVariable = `query ($n: Int) { channels(first: $n) { edges { node { ${page(page('name'))} } } } }`
    expect(complaints(byVariable, {}, { n: 1 })).toEqual([])
    expect(complaints(byVariable, {}, { n: 2 })[0]).toMatch(/objects, and/)
    const byDefault = 'query ($n: Int = 100) { channels(first: $n) { edges { node { name } } } }'
    expect(complaints(byDefault, { maxCost: 100 })[0]).toMatch(/201/)
  })
})
