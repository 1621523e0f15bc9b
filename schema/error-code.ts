import type { ErrorCode } from '../server/errors.ts'
import { builder } from './builder.ts'

/** Nothing returns it: it stands in the schema so that generated clients know every `extensions.code`. */
builder.enumType('ErrorCode', {
  description: 'What `extensions.code` of an error can be.',
  values: {
    UNAUTHENTICATED: { description: 'Nobody is signed in, or the token is no longer good: refresh it, or sign in.' },
    FORBIDDEN: { description: 'The viewer may not do this.' },
    NOT_FOUND: { description: 'There is no such thing, or the viewer may not know whether there is.' },
    BAD_USER_INPUT: { description: '`extensions.field` cannot be taken as it is; the message says what would be.' },
    CONFLICT: { description: 'It contradicts what is there already.' },
    RATE_LIMITED: { description: 'Too much at a time: try again after `extensions.retryAfterMs`.' },
    PAYLOAD_TOO_LARGE: { description: 'The request has more bytes than are read.' },
    QUERY_TOO_COMPLEX: { description: 'The operation asks for too much at once: ask for less of it, or in pages.' },
    CURSOR_EXPIRED: { description: 'The stream cannot go on from this cursor: fetch what is shown anew.' },
    UNAVAILABLE: { description: 'The service is away just now. Trying again, with the same key where there is one, is safe.' },
    INTERNAL: { description: 'A fault of the server’s; its log has more under `extensions.requestId`.' },
  } satisfies Record<ErrorCode, object>,
})
