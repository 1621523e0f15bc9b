import { badInput } from '../errors.ts'

/** The longest message, in Unicode code points. */
export const maxContentLength = 100_000

/**
 * Characters that a store or a client would choke on: NUL and the other controls but tab and line breaks, halves of
 * surrogate pairs, and the two noncharacters that close each plane.
 */
// oxlint-disable-next-line no-control-regex -- control characters are what it is about
const unfit = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f\ufffe\uffff]|\p{Surrogate}|[\u{1fffe}\u{1ffff}]/u

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

/** Replaces what `checkText` would refuse, for text that comes from elsewhere and must not be lost for one character. */
export const cleanText = (text: string): string => text.toWellFormed().replaceAll(new RegExp(unfit, 'gu'), '\ufffd')

/** Returns `text` if it can be stored and shown, at most `max` code points long and not blank; throws BAD_USER_INPUT. */
export function checkText(text: string, what: string, field: string, max: number): string {
  if (unfit.test(text)) throw badInput(`${what} holds characters that cannot be shown.`, field)
  if (text.length > max && countCodePoints(text) > max) {
    throw badInput(`${what} may be at most ${max.toLocaleString('en')} characters long.`, field)
  }
  if (text.trim() === '') throw badInput(`${what} must not be empty.`, field)
  return text
}

/** A name that people see: one line, in NFC, without space around it. */
export function checkName(name: string, what: string, field: string, max = 80): string {
  if (/[\r\n\t]/.test(name)) throw badInput(`${what} must be one line.`, field)
  return checkText(name.normalize('NFC').trim(), what, field, max)
}

const username = /^[\p{L}\p{N}][\p{L}\p{M}\p{N}._-]{0,31}$/u

/** A name to sign in with and to be mentioned by; throws BAD_USER_INPUT. */
export function checkUsername(name: string, field: string): string {
  const normal = name.normalize('NFC')
  if (!username.test(normal)) {
    throw badInput(
      'A username has 1 to 32 letters, digits, dots, dashes and underscores, and begins with a letter or a digit.',
      field,
    )
  }
  return normal
}

/** What makes two usernames the same: NFC, whatever their case. */
export const usernameKey = (name: string): string => name.normalize('NFC').toLowerCase()
