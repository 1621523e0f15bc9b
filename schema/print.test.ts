import { readFileSync } from 'node:fs'
import { buildSchema, findBreakingChanges } from 'graphql'
import { expect, test } from 'vitest'
import { isStale, printed } from './print.ts'

const contract = readFileSync(new URL('./contract.graphql', import.meta.url), 'utf8')

test('the committed schema is what the code prints', () => {
  expect(isStale(), 'run `npm run print:schema` and commit schema/schema.graphql').toBe(false)
})

test('the schema breaks nothing of the contract', () => {
  expect(findBreakingChanges(buildSchema(contract), buildSchema(printed()))).toEqual([])
})
