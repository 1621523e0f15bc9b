import { badInput } from '../errors.ts'

/** The longest message, in Unicode code points. */
export const maxContentLength = 100_000

/**
 * Characters that a store or a client would choke on: NUL and the other controls but tab and line breaks, halves of
 * surrogate pairs, and code points that are no characters.
 */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const unfit = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\p{Surrogate}\p{Noncharacter_Code_Point}]/u

/** Something to be seen: neither space nor what only steers how other characters are shown. */
const visible = /[^\s\p{Default_Ignorable_Code_Point}]/u

const lineBreak = /[\r\n\t\u0085\u2028\u2029]/

/** Counts Unicode code points, which is what people take for characters. */
export function countCodePoints(text: string): number {
  let count = 0
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    // The second half of a pair is not counted.
    if (unit < 0xdc00 || unit > 0xdfff) count++
  }
  return count
}

/** The first `max` code points of a text: no pair is cut in two. */
export const firstCodePoints = (text: string, max: number): string =>
  Array.from(text.slice(0, 2 * max)).slice(0, max).join('')

/** Replaces what `checkText` would refuse, for text from elsewhere that must not be lost for one character. */
export const cleanText = (text: string): string => text.toWellFormed().replaceAll(new RegExp(unfit, 'gu'), '\ufffd')

/** Whether a text can be stored as it is. */
export const isFit = (text: string): boolean => !unfit.test(text)

/** Whether there is nothing to be seen in a text. */
export const isBlank = (text: string): boolean => !visible.test(text)

/** Returns a text that can be stored and shown, has at most `max` code points and is not blank; else BAD_USER_INPUT. */
export function checkText(text: string, what: string, field: string, max: number): string {
  if (text.length > max && countCodePoints(text) > max) throw tooLong(what, field, max)
  if (!isFit(text)) throw badInput(`${what} holds characters that cannot be shown.`, field)
  if (isBlank(text)) throw badInput(`${what} must not be empty.`, field)
  return text
}

const tooLong = (what: string, field: string, max: number) =>
  badInput(`${what} may be at most ${max.toLocaleString('en')} characters long.`, field)

/**
 * The same for a text that is compared or searched: in NFC. Normalising takes quadratic time in the worst text (a
 * million accents on one letter took minutes), so what is too long in any form is refused before.
 */
export function checkNormalised(text: string, what: string, field: string, max: number): string {
  if (text.length > max * maxNormalisedGrowth) throw tooLong(what, field, max)
  return checkText(text.normalize('NFC'), what, field, max)
}

/** UTF-16 units that one code point of a text in NFC may take in another form. */
const maxNormalisedGrowth = 8

/** A name that people see: one line, in NFC, without space around it. */
export function checkName(name: string, what: string, field: string, max = 80): string {
  if (lineBreak.test(name)) throw badInput(`${what} must be one line.`, field)
  return checkNormalised(name.trim(), what, field, max)
}

/** Code points of a username. */
export const maxUsernameLength = 32

/** Letters that are drawn as nothing, such as the Hangul fillers, would make names that look like others. */
const username =
  /^[[\p{L}\p{N}]--\p{Default_Ignorable_Code_Point}][[\p{L}\p{M}\p{N}._\-]--\p{Default_Ignorable_Code_Point}]{0,31}$/v

/** A name to sign in with and to be mentioned by; throws BAD_USER_INPUT. */
export function checkUsername(name: string, field: string): string {
  const normal = normaliseUsername(name)
  if (normal !== null && username.test(normal)) return normal
  throw badInput(
    `A username has 1 to ${maxUsernameLength} letters, digits, dots, dashes and underscores, ` +
      'and begins with a letter or a digit.',
    field,
  )
}

/** A name in NFC; null where it is too long for any username. */
const normaliseUsername = (name: string): string | null =>
  name.length > maxUsernameLength * maxNormalisedGrowth ? null : name.normalize('NFC')

/**
 * What makes two usernames the same: NFC, whatever their case. By way of the capitals, so that letters which share one
 * (σ and ς, ß and ss) are the same too.
 */
export const usernameKey = (name: string): string => name.normalize('NFC').toUpperCase().toLowerCase()

/** The key of a name that somebody may have; null for what is nobody's name. */
export function findableKey(name: string): string | null {
  const normal = normaliseUsername(name)
  return normal !== null && username.test(normal) ? usernameKey(normal) : null
}
