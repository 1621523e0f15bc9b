import type { Random } from '../random.ts'
import { print } from './ledger.ts'

/** What everybody asks of a message; the rest differs. */
const core = 'id seq version content'

/** What may be asked of a message besides, and changes with its version alone. */
const extras = [
  'kind', 'editedAt', 'deletedAt', 'pinnedAt', 'replyCount', 'createdAt', 'author { id }', 'replyTo { id }',
  'mentions { id }', 'reactions { emoji count userIds }',
] as const

/** What the answer to depends on who asks. */
const own = 'reactions { emoji viewerHasReacted } channel { id lastSeq unreadCount viewerDraft }'

/** All of it: what history is fetched with. */
export const everything = [core, ...extras].join(' ')

/** What a device asks of messages, and how what it was told is held against what was fetched. */
export type Selection = {
  /** Inside `message { … }`. */
  text: string
  isOwn: boolean
  /** A print of a message, as this selection has it, from any that holds at least as much. */
  print(message: any, viewerId: string): number
}

const nameOf = (extra: string) => extra.split(' ')[0]!

function select(chosen: readonly string[], isOwn: boolean): Selection {
  const names = ['seq', 'content', ...chosen.map(nameOf)]
  return {
    text: [core, ...chosen, ...(isOwn ? [own] : [])].join(' '),
    isOwn,
    print: (message, viewerId) =>
      print(JSON.stringify([...names.map((name) => message[name]), isOwn ? ownReactions(message, viewerId) : null])),
  }
}

/** Which emoji are the viewer's: as the viewer was told, or as it follows from whose they are. */
const ownReactions = (message: any, viewerId: string): string[] =>
  message.reactions
    .filter((reaction: any) => reaction.viewerHasReacted ?? reaction.userIds.includes(viewerId))
    .map((reaction: any) => reaction.emoji)

/** A number of different selections, from the least to all that there is, the rest at random. */
export function makeSelections(count: number, random: Random): Selection[] {
  const some = () => extras.filter(() => random.chance(0.5)).toSorted(() => random.next() - 0.5)
  return Array.from({ length: count }, (_, nth) => select(nth === 0 ? [] : nth === 1 ? extras : some(), false))
}

/** What depends on the viewer. */
export const ownSelection: Selection = select(['editedAt', 'deletedAt'], true)

/** All that changes with the version. */
export const wholeSelection: Selection = select(extras, false)
