import type { Suggestion } from '../server/domain/autocomplete.ts'
import { builder, ofViewer } from './builder.ts'
import { readChannelId } from './ids.ts'
import { channelType, userType } from './types.ts'
import { requireViewer } from './viewer.ts'

const suggestionKind = builder.enumType('SuggestionKind', {
  description: 'What can be suggested.',
  values: {
    USER: { description: 'A person.' },
    CHANNEL: {
      description: 'A PUBLIC channel, or another one that the viewer is in. A DIRECT one is suggested as the other person.',
    },
    TERM: { description: 'Something that several people have searched for lately.' },
  } as const,
})

const suggestionType = builder.objectRef<Suggestion>('Suggestion').implement({
  description: 'What somebody who is typing may mean.',
  fields: (t) => ({
    kind: t.field({ description: 'What it is.', type: suggestionKind, resolve: ({ kind }) => kind }),
    text: t.exposeString('text', {
      description: 'What to show: a person’s display name, a channel’s name, or the words of a search.',
    }),
    user: t.field({
      description: 'Of a USER.',
      type: userType,
      nullable: true,
      resolve: (suggestion) => (suggestion.kind === 'USER' ? suggestion.user : null),
    }),
    channel: t.field({
      description: 'Of a CHANNEL.',
      type: channelType,
      nullable: true,
      resolve: (suggestion) => (suggestion.kind === 'CHANNEL' ? suggestion.channel : null),
    }),
  }),
})

builder.queryFields((t) => ({
  autocomplete: t.field({
    ...ofViewer,
    description:
      'People, channels and search terms that begin with what was typed so far, by any of their words: first those whom ' +
      'the viewer talks with and the channels that they are in, then the best known. Korean is found while a syllable is ' +
      'half typed (`하` finds 한국), by initial consonants (`ㅎㄱ`), and typed on the wrong layout (`gksrnr`, and ' +
      '`ㅗ디ㅣㅐ` for hello). `@` or `#` before it makes no difference; nothing gives whom the viewer talked with last.\n\n' +
      'The viewer is not suggested to themselves, nor anybody of whom one has blocked the other.',
    type: [suggestionType],
    args: {
      prefix: t.arg.string({ required: true, description: 'At most 100 characters.' }),
      kinds: t.arg({
        type: [suggestionKind],
        description: 'Only these; else all, or with `channelId` people.',
      }),
      channelId: t.arg.id({
        description: 'Only people who are in this channel, as for mentioning them; the viewer must be able to read it.',
      }),
      first: t.arg.int({ description: '1 to 20, or else 10.' }),
    },
    resolve: (_, { prefix, kinds, channelId, first }, context) =>
      context.services.autocomplete.find(requireViewer(context), {
        prefix,
        kinds: kinds ?? null,
        channelId: channelId == null ? null : readChannelId(channelId, 'channelId'),
        first: first ?? null,
      }),
  }),
}))
