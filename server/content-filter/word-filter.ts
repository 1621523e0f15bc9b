import type { WordList } from '../lib/word-list.ts'
import { allowed, type ContentFilter, type Verdict } from './content-filter.ts'

/** It does not say which word, as the list is the operator's. */
const refused: Verdict = { verdict: 'refuse', reason: 'This holds a word that is not allowed here.' }

/** Refuses whatever holds a word of a list. */
export const createWordFilter = (isListed: WordList): ContentFilter => ({
  check: ({ content }) => (isListed(content) ? refused : allowed),
  async close() {},
})
