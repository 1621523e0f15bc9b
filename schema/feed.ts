import { builder, ofViewer } from './builder.ts'
import { messageConnection } from './channels.ts'
import { decodePlace, decodeSnowflake, encodePlace, pageSize } from './connections.ts'
import { requireViewer } from './viewer.ts'

/** A part of a cursor without zeros before it, so that it can be compared as text. */
const readPart = (text: string): string => BigInt(decodeSnowflake(text, 'after')).toString()

builder.queryFields((t) => ({
  feed: t.field({
    ...ofViewer,
    description:
      'What is new in all channels that the viewer follows, newest first: what others have said in every channel that ' +
      'the viewer is in, unless its notifications are set to NONE. It goes back to where the viewer came in. New messages ' +
      'appear before the first page and do not move the others.\n\n' +
      'A page may be short, or empty, while `pageInfo.hasNextPage` is true, and `endCursor` goes on from there.',
    type: messageConnection,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: async (_, { first, after }, context) => {
      const place = decodePlace(after, 2, 'after')
      const page = await context.services.feed.page(
        requireViewer(context),
        pageSize(first),
        place === null
          ? null
          : { id: readPart(place[0]!), channelId: readPart(place[1]!) },
      )
      return {
        edges: page.messages.map((node) => ({ cursor: encodePlace(node.id, node.channelId), node })),
        hasNextPage: page.next !== null,
        hasPreviousPage: after != null,
        // What was looked at reaches further than what was found.
        ...(page.next === null ? {} : { endCursor: encodePlace(page.next.id, page.next.channelId) }),
      }
    },
  }),
}))
