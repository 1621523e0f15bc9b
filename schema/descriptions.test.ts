import { isEnumType, isInputObjectType, isInterfaceType, isObjectType, isSpecifiedScalarType, type GraphQLNamedType } from 'graphql'
import { expect, test } from 'vitest'
import { schema } from './index.ts'

/** What explorers show nothing about. */
function undescribed(type: GraphQLNamedType): string[] {
  const parts =
    isObjectType(type) || isInterfaceType(type) || isInputObjectType(type)
      ? Object.values(type.getFields())
      : isEnumType(type)
        ? type.getValues()
        : []
  const without = parts
    // The interface of whatever has an id says what ids are.
    .filter(({ name }) => !(name === 'id' && isObjectType(type) && type.getInterfaces().some((each) => each.name === 'Node')))
    .filter(({ description }) => description == null || description.trim() === '')
    .map(({ name }) => `${type.name}.${name}`)
  return type.description == null ? [type.name, ...without] : without
}

test('every type, field, input and value says what it means', () => {
  const own = Object.values(schema.getTypeMap()).filter((type) => !type.name.startsWith('__') && !isSpecifiedScalarType(type))
  expect(own.length).toBeGreaterThan(50)
  expect(own.flatMap(undescribed)).toEqual([])
})
