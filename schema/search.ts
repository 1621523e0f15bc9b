import { type Highlight, highlight, type SearchQuery } from '../server/lib/search-query.ts'
import type { MessageRow } from '../server/message-store/rows.ts'
import { builder, ofViewer } from './builder.ts'
import { messageConnection } from './channels.ts'
import { decodePlace, decodeSnowflake, type Edge, encodePlace, pageSize } from './connections.ts'
import { readChannelId, readUserId } from './ids.ts'
import { requireViewer } from './viewer.ts'

/** An edge of what a search has found knows what was looked for. */
type FoundEdge = Edge<MessageRow> & { needles?: SearchQuery['needles'] }

const highlightType = builder.objectRef<Highlight>('Highlight').implement({
  description:
    'A part of a text: from `start` up to, and without, `end`, in UTF-16 units, as JavaScript, Java, Kotlin and NSString count.',
  fields: (t) => ({
    start: t.exposeInt('start', { description: 'Where it begins.' }),
    end: t.exposeInt('end', { description: 'Where it is over.' }),
  }),
})

builder.objectField(messageConnection.edge, 'highlights', (t) =>
  t.field({
    description:
      'In what a search has found, which parts of the content are what was looked for, in order and apart; null elsewhere.',
    type: [highlightType],
    nullable: true,
    resolve: ({ node, needles }: FoundEdge) => (needles === undefined ? null : highlight(needles, node.content)),
  }),
)

builder.queryFields((t) => ({
  searchMessages: t.field({
    ...ofViewer,
    description:
      'Messages in the viewer’s channels that hold every word of `query`, whatever its case, newest first. It may hold ' +
      '`"phrases in quotes"`, `from:username`, `in:channel-name` or `in:@username`, and `before:`, `after:` and `on:` ' +
      'with a day (of UTC), a month, a year or a moment; filters alone list messages, too. Korean, Japanese and Chinese ' +
      'are found within words, and Korean by initial consonants: `ㅎㄱ` finds 학교에서.\n\n' +
      'A search goes back through history for a moment at a time: a page may be short, or empty, while ' +
      '`pageInfo.hasNextPage` is true, and `endCursor` goes on from there.',
    type: messageConnection,
    args: {
      query: t.arg.string({ required: true }),
      channelId: t.arg.id({ description: 'Only in this channel.' }),
      authorId: t.arg.id({ description: 'Only by this user.' }),
      sentBefore: t.arg({ type: 'DateTime' }),
      sentAfter: t.arg({ type: 'DateTime' }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_, args, context) => {
      const place = decodePlace(args.after, 2, 'after')
      const page = await context.services.search.page(requireViewer(context), {
        query: args.query,
        channelId: args.channelId == null ? null : readChannelId(args.channelId, 'channelId'),
        authorId: args.authorId == null ? null : readUserId(args.authorId, 'authorId'),
        sentBefore: args.sentBefore ?? null,
        sentAfter: args.sentAfter ?? null,
        size: pageSize(args.first),
        before:
          place === null
            ? null
            : { id: decodeSnowflake(place[0]!, 'after'), channelId: decodeSnowflake(place[1]!, 'after') },
      })
      const edges: FoundEdge[] = page.messages.map((node) => ({
        cursor: encodePlace(node.id, node.channelId),
        node,
        needles: page.needles,
      }))
      return {
        edges,
        hasNextPage: page.next !== null,
        hasPreviousPage: args.after != null,
        // What was looked at reaches further than what was found.
        ...(page.next === null ? {} : { endCursor: encodePlace(page.next.id, page.next.channelId) }),
      }
    },
  }),
}))
