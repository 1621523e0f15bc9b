import { getNamedType, type GraphQLField, isLeafType, isObjectType } from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { errorCodes } from '../server/errors.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { schema } from './index.ts'
import { invited } from './testing/invites.ts'
import { newChannel, operation, refusal, repeatUntil, say } from './testing/operations.ts'
import { type Ids, leavesOf, oddValues, sampleArguments, withOdd } from './testing/odd-inputs.ts'

/** Whatever is put into whichever argument: an answer, or an error with one of the codes, naming what is at fault. */
let app: TestApp
let alice: Person
let bob: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(() => app.stop())

type Field = GraphQLField<unknown, unknown>
type Answered = { errors?: { message: string; path?: unknown[]; extensions: { code: string; field?: string } }[] }

/** How the fields of a type that takes arguments are reached; each gets one field's text. */
const ways: Record<string, (field: string, variables: string, ids: Ids) => string> = {
  Query: (field, variables) => `query Odd${variables} { ${field} }`,
  Mutation: (field, variables) => `mutation Odd${variables} { ${field} }`,
  Channel: (field, variables, ids) => `query Odd${variables} { channel(id: "${ids.channel}") { ${field} } }`,
  Message: (field, variables, ids) =>
    `query Odd${variables} { node(id: "${ids.message}") { ... on Message { ${field} } } }`,
  Invite: (field, variables, ids) => `query Odd${variables} { invite(code: "${ids.invite}") { ${field} } }`,
  Reaction: (field, variables, ids) =>
    `query Odd${variables} { node(id: "${ids.message}") { ... on Message { reactions { ${field} } } } }`,
}

const fieldsWithArguments: { type: string; field: Field }[] = Object.values(schema.getTypeMap())
  .filter(isObjectType)
  .filter(({ name }) => !name.startsWith('__'))
  .flatMap((type) => Object.values(type.getFields()).map((field) => ({ type: type.name, field })))
  .filter(({ field }) => field.args.length > 0)

const subscriptions = fieldsWithArguments
  .filter(({ type }) => type === 'Subscription')
  .map(({ field }) => [field.name, field] as const)
const others = fieldsWithArguments
  .filter(({ type }) => type !== 'Subscription')
  .map(({ type, field }) => [`${type}.${field.name}`, type, field] as const)

/** The text of a field with all its arguments as variables. */
function write(field: Field) {
  const inBrackets = (parts: string[]) => (parts.length === 0 ? '' : `(${parts.join(', ')})`)
  const passed = inBrackets(field.args.map(({ name }) => `${name}: $${name}`))
  const selection = isLeafType(getNamedType(field.type)) ? '' : ' { __typename }'
  const variables = inBrackets(field.args.map(({ name, type }) => `$${name}: ${String(type)}`))
  return { text: `${field.name}${passed}${selection}`, variables }
}

/** A channel and a message that nothing has happened to yet. */
async function makeIds(): Promise<Ids> {
  const channel = await newChannel(alice, {}, [bob])
  const message = (await say(alice, channel, 'hi')).id
  return { channel, message, user: bob.id, invite: (await invited(alice, { channelId: channel })).code }
}

async function post(query: string, variables: object): Promise<Answered> {
  const response = await fetch(app.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${alice.token}` },
    body: JSON.stringify({ query, variables }),
  })
  return (await response.json()) as Answered
}

/** What nobody outside has to know. */
const insides = /\b(?:select|insert|update|relation|column|postgres|undefined|TypeError|null value)\b|\.ts\b/

/** Holds the errors of one answer to what clients were promised; `leaves` are the inputs that one can be at fault. */
function check({ errors = [] }: Answered, leaves: string[], tried: string) {
  for (const { message, path, extensions } of errors) {
    expect(errorCodes, tried).toContain(extensions.code)
    expect(['INTERNAL', 'UNAVAILABLE'], `${tried}: ${message}`).not.toContain(extensions.code)
    // What graphql-js says of variables quotes what was sent, and names the place in its message.
    if (path === undefined) continue
    expect(message, tried).not.toMatch(insides)
    if (['BAD_USER_INPUT', 'NOT_FOUND'].includes(extensions.code)) expect(leaves, tried).toContain(extensions.field)
  }
}

const show = (value: unknown) => (JSON.stringify(value) ?? 'undefined').slice(0, 60)

/** Runs `attempt` for every odd value at every place of a field. */
async function tryAll(
  field: Field,
  attempt: (args: object, leaves: string[], tried: string, ids: Ids) => Promise<void>,
) {
  const ids = await makeIds()
  const leaves = leavesOf(field)
  const base = sampleArguments(field, ids)
  const cases = leaves.flatMap((leaf) => oddValues(leaf, ids).map((odd) => ({ leaf, odd })))
  const paths = leaves.map(({ path }) => path)
  while (cases.length > 0) {
    const together = cases.splice(0, 8).map(({ leaf, odd }) => {
      return attempt(withOdd(base, leaf.path, odd), paths, `${leaf.path} = ${show(odd)}`, ids)
    })
    await Promise.all(together)
  }
}

test('every type whose fields take arguments is tried here', () => {
  const types = new Set(fieldsWithArguments.map(({ type }) => type))
  expect([...types].toSorted()).toEqual([...Object.keys(ways), 'Subscription'].toSorted())
})

test.each(others)('%s takes whatever comes', async (_, type, field) => {
  const { text, variables } = write(field)
  await tryAll(field, async (args, leaves, tried, ids) => {
    const started = performance.now()
    check(await post(ways[type]!(text, variables, ids), args), leaves, tried)
    expect(performance.now() - started, tried).toBeLessThan(5_000)
  })
})

test.each(subscriptions)('Subscription.%s takes whatever comes', async (_, field) => {
  const { text, variables } = write(field)
  const document = operation<Record<string, unknown>, object>(`subscription Odd${variables} { ${text} }`)
  await tryAll(field, async (args, leaves, tried) => {
    await using stream = alice.client.subscribe(document, args)
    const opened = stream.next().then(
      () => ({}),
      (error: { errors: Answered['errors'] }) => ({ errors: error.errors ?? [] }),
    )
    // Where nothing is wrong nothing may come: twenty answers later it would have been told.
    let answers = 0
    await repeatUntil(opened, async () => {
      await alice.client.request(operation('query Meanwhile { viewer { id } }'))
      if (++answers > 20) await stream.return!()
    })
    check(await opened, leaves, tried)
  })
})

test('nothing is for nobody but signing up, in and out, where to connect and where a link leads', async () => {
  const open = new Set(['signUp', 'signIn', 'refreshSession', 'signOut', 'viewer', 'endpoint', 'invite', 'shortLink'])
  const ids = await makeIds()
  const roots = [schema.getQueryType()!, schema.getMutationType()!, schema.getSubscriptionType()!]
  for (const root of roots) {
    const type = root.name
    for (const field of Object.values(root.getFields()).filter(({ name }) => !open.has(name))) {
      const { text, variables } = write(field)
      const document = operation<any, any>(`${type.toLowerCase()} Nobody${variables} { ${text} }`)
      const args = sampleArguments(field, ids)
      const client = app.client()
      const asked = type === 'Subscription' ? client.subscribe(document, args).next() : client.request(document, args)
      expect(await refusal(asked), `${type}.${field.name}`).toEqual({ code: 'UNAUTHENTICATED', field: undefined })
    }
  }
})

test('the server is well after all that', async () => {
  const { viewer } = await alice.client.request(operation('query Viewer { viewer { username } }'))
  expect(viewer).toEqual({ username: 'alice' })
})
