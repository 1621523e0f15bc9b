import { MaruError } from '../server/errors.ts'

/** Characters of content in one answer: eight of the fullest pages, far beyond what a client can show. */
const maxCharacters = 8_000_000

/** The budget of one answer: fields cost nothing to ask for, and the same message may be asked for a thousand times. */
export function createBudget(): (text: string) => string {
  let left = maxCharacters
  return (text) => {
    left -= text.length
    if (left < 0) {
      throw new MaruError('QUERY_TOO_COMPLEX', `An answer holds at most ${maxCharacters.toLocaleString('en')} characters of text.`)
    }
    return text
  }
}
