import { cleanText } from '../lib/text.ts'
import { cutToCodePoints } from './fit.ts'
import { english } from './texts/en.ts'
import { korean } from './texts/ko.ts'

/** What was written, and how many files of each kind came with it. */
export type PushContent = { text: string; pictures: number; videos: number; sounds: number; files: number }

/** Where: the channel's name, or null in a DIRECT channel. */
type Place = { channel: string | null }

/** What a notice tells. Names and texts are as users wrote them. */
export type PushWhat =
  | ({ kind: 'message' | 'mention' | 'reply'; sender: string; content: PushContent } & Place)
  /** As with /me: `text` goes on from the sender's name. */
  | ({ kind: 'action'; sender: string; text: string } & Place)
  /** Many messages in one channel; `sender` is the other person of a DIRECT channel, and not told of another. */
  | ({ kind: 'summary'; sender: string; count: number } & Place)
  | { kind: 'summaryOfChannels'; count: number; channels: number }
  /** In the place of a message that its author has taken back. */
  | ({ kind: 'deleted'; sender: string } & Place)
  /** What the user asked to be reminded of; `text` may be empty. */
  | { kind: 'reminder'; text: string; channel: string | null }
  /** With previews off: how many messages, and not a word of theirs, no name and no place. */
  | { kind: 'hidden'; count: number }
  | { kind: 'hiddenReminder' }

export type PushText = { title: string; body: string }

/**
 * A language. Texts and names come in one line each and cut; numbers are whole and at least 1, but for `PushContent`'s.
 * One function for each kind, so that a language lacks none.
 */
export type PushTexts = { [Kind in PushWhat['kind']]: (what: Extract<PushWhat, { kind: Kind }>) => PushText }

/** By language; a region's own would stand here as `pt-br`. */
const languages: Record<string, PushTexts | undefined> = { en: english, ko: korean }

/** Code points of what was written: more is shown nowhere. */
const maxTextLength = 1_000

/** Code points of a name: more than a name may have, and less than what would fill a screen. */
const maxNameLength = 100

/**
 * What a notice says, in the language of a BCP 47 tag: its own, else that of the tag without its last parts, else
 * English. Title and body are one line each; what was written is cut at 1,000 code points, between characters.
 */
export function pushText(locale: string, what: PushWhat): PushText {
  const texts = textsFor(locale)
  // The kind says which function and which members: that they belong together is beyond the type checker.
  const tell = texts[what.kind] as (what: PushWhat) => PushText
  return tell(tidy(what))
}

function textsFor(locale: string): PushTexts {
  const parts = locale.toLowerCase().split(/[-_]/)
  for (; parts.length > 0; parts.pop()) {
    const tag = parts.join('-')
    if (Object.hasOwn(languages, tag)) return languages[tag]!
  }
  return english
}

function tidy(what: PushWhat): PushWhat {
  const tidied = { ...what } as { sender?: string; channel?: string | null; text?: string; content?: PushContent }
  if (tidied.sender !== undefined) tidied.sender = oneLine(tidied.sender, maxNameLength)
  if (tidied.channel != null) tidied.channel = oneLine(tidied.channel, maxNameLength)
  if (tidied.text !== undefined) tidied.text = oneLine(tidied.text, maxTextLength)
  if (tidied.content !== undefined) {
    tidied.content = { ...tidied.content, text: oneLine(tidied.content.text, maxTextLength) }
  }
  return tidied as PushWhat
}

/**
 * Marks that turn the direction of what follows, and would turn the words around a name, too: those for embedding,
 * overriding and isolating (UAX #9, 2.1 to 2.5).
 */
const turning = /[\u202a-\u202e\u2066-\u2069]/g

/** Far more than is kept, so that little is lost where there is much space to fold. */
const lookAhead = 4

function oneLine(text: string, max: number): string {
  const near = cleanText(text.slice(0, 2 * lookAhead * max)).replaceAll(turning, '')
  return cutToCodePoints(near.replaceAll(/[\s\u0085]+/g, ' ').trim(), max)
}
