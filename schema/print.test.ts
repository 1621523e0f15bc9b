import { readFileSync } from 'node:fs'
import { buildSchema, findBreakingChanges } from 'graphql'
import { expect, test } from 'vitest'
import { isStale, printed } from './print.ts'

const contract = readFileSync(new URL('./contract.graphql', import.meta.url), 'utf8')

/** What the contract promises and the code does not have yet. Whatever is built is taken off this list. */
const toCome = [
  // Order
  'Mutation.banMember',
  'Mutation.reportMessage',
  // Invites
  'Invite',
  'CreateInviteInput',
  'Query.invite',
  'Mutation.createInvite',
  'Mutation.joinByInvite',
  // Finding things
  'Suggestion',
  'SuggestionKind',
  'Query.autocomplete',
  // Activity and feed
  'Activity',
  'ActivityConnection',
  'ActivityEdge',
  'ActivityKind',
  'Query.activity',
  'Query.feed',
  // Many machines
  'Endpoint',
  'Query.endpoint',
]

test('the committed schema is what the code prints', () => {
  expect(isStale(), 'run `npm run print:schema` and commit schema/schema.graphql').toBe(false)
})

test('the schema breaks nothing of the contract; what is missing is what is still to come, and nothing else', () => {
  const changes = findBreakingChanges(buildSchema(contract), buildSchema(printed()))
  const gone = /^(?:Field )?([\w.]+) was removed\.$/
  const broken = changes.map(({ description }) => gone.exec(description)?.[1] ?? description)
  expect(broken.toSorted()).toEqual(toCome.toSorted())
})
