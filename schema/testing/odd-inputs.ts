import {
  getNamedType,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
} from 'graphql'

/** Ids that exist, for arguments that want one. */
export type Ids = { channel: string; user: string; message: string; invite: string }

/** One input of a field: where it is (`input.content`), and what can be put there. */
export type Leaf = { path: string; type: GraphQLInputType }

/** All inputs of a field. */
export function leavesOf(field: GraphQLField<unknown, unknown>): Leaf[] {
  const below = ({ name, type }: GraphQLArgument | GraphQLInputField, prefix: string): Leaf[] => {
    const named = getNamedType(type)
    const path = prefix + name
    return isInputObjectType(named)
      ? Object.values(named.getFields()).flatMap((inner) => below(inner, `${path}.`))
      : [{ path, type }]
  }
  return field.args.flatMap((argument) => below(argument, ''))
}

/** Arguments of a field that could be right. */
export function sampleArguments(field: GraphQLField<unknown, unknown>, ids: Ids): Record<string, unknown> {
  return Object.fromEntries(field.args.map(({ name, type }) => [name, sample(name, type, ids)]))
}

function sample(name: string, type: GraphQLInputType, ids: Ids): unknown {
  // What may be left out is left out: so nothing contradicts what is tried.
  if (!isNonNullType(type)) return undefined
  if (isListType(type.ofType)) return [sampleId(name, ids)]
  const named = getNamedType(type)
  if (isInputObjectType(named)) {
    const fields = Object.values(named.getFields())
    return Object.fromEntries(fields.map((field) => [field.name, sample(field.name, field.type, ids)]))
  }
  // Of the kinds of channel that is GROUP, which asks for the least.
  if (isEnumType(named)) return named.getValues()[1]!.name
  if (named.name === 'ID') return sampleId(name, ids)
  const text = name === 'emoji' ? '👍' : 'something long enough'
  return { Int: 1, Boolean: true, String: text, DateTime: '2030-01-01T00:00:00Z' }[named.name]
}

function sampleId(name: string, ids: Ids): string {
  if (/^(user|member)/.test(name)) return ids.user
  return name.startsWith('message') ? ids.message : ids.channel
}

/** The arguments with something else at one place. */
export function withOdd(args: Record<string, unknown>, path: string, odd: unknown): Record<string, unknown> {
  const [first, ...rest] = path.split('.') as [string, ...string[]]
  const inner = args[first] as Record<string, unknown>
  return { ...args, [first]: rest.length === 0 ? odd : withOdd(inner, rest.join('.'), odd) }
}

const cursor = (json: string) => Buffer.from(json).toString('base64url')

const texts = [
  '',
  ' ',
  '\u0000',
  'a\u0000b',
  '\ud800',
  'a\udfffb',
  '\uffff',
  '\u202e\u2066',
  'x'.repeat(100_001),
  '🦉'.repeat(3_000),
  // Half a minute, for whoever normalises it.
  `a${'\u0301\u0316'.repeat(250_000)}`,
  `@a${'\u0301\u0316'.repeat(49_000)}`,
  "'; drop table users; --",
  '%_\\',
  '__proto__',
  cursor('["\\u0000"]'),
  cursor('["\\ud800","1"]'),
  cursor('["1","99999999999999999999"]'),
  cursor('[1e400]'),
  cursor('[null]'),
  cursor('[{"toString":1}]'),
  cursor('[]'),
  cursor('c.zzzzzzzzzzzzz.zzzzzz.zzzzzz'),
  cursor('c.1.0.0'),
  '1.1.0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  '9999999999999999999.9999999999999999999.999999999.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
]

const numbers = [0, -1, 1, 101, 0x7fff_ffff, -0x8000_0000, 0x8000_0000, 1.5, 1e300]

const moments = [
  '',
  '1000-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '0000-01-01T00:00:00Z',
  '2026-02-30T00:00:00Z',
  '\u0000',
]

/** The last that have 63 bits, the first that has 64, and some that were never given out. */
const strangeIds = ['c1y2p0ij32e8e7', 'u1y2p0ij32e8e7', 'u1y2p0ij32e8e8', 'c1', 'u1', 'm1_1']

/** Values that a leaf may be given and that are hardly what was meant. */
export function oddValues({ type }: Leaf, ids: Ids): unknown[] {
  const named = getNamedType(type)
  const inner = isNonNullType(type) ? type.ofType : type
  const oddIds = [...Object.values(ids), `m${ids.channel.slice(1)}_1`, ...strangeIds, ...texts.slice(0, 6)]
  const single = { ID: oddIds, String: texts, Int: numbers, DateTime: moments }[named.name] ?? []
  const list = [[], [null], single, Array.from({ length: 1_000 }, () => single[0]), ...single.map((value) => [value])]
  return [null, 5, {}, [], ...(isListType(inner) ? list : single)]
}
