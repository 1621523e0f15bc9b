import { GraphQLError, Kind } from 'graphql'
import { builder } from './builder.ts'

/** RFC 3339 with a time zone: without one the same text means another moment elsewhere. */
const shape = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/

function parseDateTime(value: unknown): Date {
  const date = typeof value === 'string' && shape.test(value) ? new Date(value) : null
  if (date === null || Number.isNaN(date.getTime())) {
    throw new GraphQLError('A DateTime is written like 2026-11-21T09:30:00Z.')
  }
  return date
}

builder.scalarType('DateTime', {
  description: 'A moment, as RFC 3339 in UTC with milliseconds: 2026-11-21T09:30:00.000Z.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (date) => date.toISOString(),
  parseValue: parseDateTime,
  parseLiteral: (node) => parseDateTime(node.kind === Kind.STRING ? node.value : null),
})

builder.scalarType('URL', {
  description: 'An absolute address.',
  serialize: (url) => url,
  parseValue(value) {
    if (typeof value !== 'string' || !URL.canParse(value)) throw new GraphQLError('This is not an absolute address.')
    return value
  },
})
