import { parse, validate } from 'graphql'
import { expect, test } from 'vitest'
import { exampleDocument } from '../server/http/graphiql-example.ts'
import { schema } from './index.ts'

test('what GraphiQL opens on is valid', () => {
  expect(validate(schema, parse(exampleDocument))).toEqual([])
})
