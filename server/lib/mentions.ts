import { firstCodePoints, maxUsernameLength, usernameKey } from './text.ts'

/** Names in one message that are looked up; beyond it a message is a list, and mentions nobody more. */
const maxMentions = 50

/** Korean particles follow a name without a space (@민수에게, @alice님은): this many syllables at the most. */
const maxParticle = 4

/** A name, its particle and the dots that end a sentence. */
const maxWord = maxUsernameLength + 2 * maxParticle

/** Not after a letter, as in an address of mail. As long as the longest word may be in its longest form. */
const mention = /(?<![\p{L}\p{M}\p{N}_@.])@([\p{L}\p{N}][\p{L}\p{M}\p{N}._-]{0,160})/gu

/**
 * The names that a text may mention with `@`. For each place, the keys (`usernameKey`) to try, the likeliest first: the
 * whole word; without the dots and dashes that end a sentence; without a Korean particle.
 */
export function mentionCandidates(text: string): string[][] {
  if (!text.includes('@')) return []
  const places: string[][] = []
  for (const [, found] of text.matchAll(mention)) {
    if (places.length === maxMentions) break
    // Only the word is normalised, and not the text: that takes quadratic time in the worst one.
    const word = firstCodePoints(found!.normalize('NFC'), maxWord)
    const choices = [word]
    const bare = word.replace(/[._-]+$/, '')
    if (bare !== word) choices.push(bare)
    const letters = [...bare]
    for (let cut = 1; cut <= maxParticle && cut < letters.length; cut++) {
      if (!/^\p{Script=Hangul}$/u.test(letters[letters.length - cut]!)) break
      choices.push(letters.slice(0, -cut).join(''))
    }
    places.push(choices.map(usernameKey))
  }
  return places
}
