import { errorCodes } from '../server/errors.ts'
import { builder } from './builder.ts'

/** Nothing returns it: it stands in the schema so that generated clients know every `extensions.code`. */
builder.enumType('ErrorCode', {
  description: 'What `extensions.code` of an error can be.',
  values: errorCodes,
})
