import { GraphQLError, Kind } from 'graphql'
import { builder } from './builder.ts'

/** RFC 3339 with a time zone: without one the same text means another moment elsewhere. */
const shape = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/

/** Whether there is such a day: JavaScript takes the 30th of February for the 2nd of March. */
const isDay = (day: string) => {
  const date = new Date(day)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day)
}

/** Years of four digits in UTC: beyond them the store, its driver and JavaScript differ in how they write a year. */
const isWithinReach = (date: Date) => date.getUTCFullYear() >= 1_000 && date.getUTCFullYear() <= 9_999

function parseDateTime(value: unknown): Date {
  const day = typeof value === 'string' ? shape.exec(value)?.[1] : undefined
  const date = day === undefined || !isDay(day) ? null : new Date(value as string)
  if (date === null || !isWithinReach(date)) throw new GraphQLError('A DateTime is written like 2026-11-21T09:30:00Z.')
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
