import { readFileSync } from 'node:fs'
import type { Config } from '../config.ts'
import { createWordList, type WordList } from '../lib/word-list.ts'
import { StartError } from '../start-error.ts'
import { createContentHook } from './content-hook.ts'
import { type ContentFilter, inTurn } from './content-filter.ts'
import { createWordFilter } from './word-filter.ts'

/** The words that the operator does not want to read; null where there is no list. Throws a StartError. */
export function openWordList({ blockedWordsFile: path }: Config['contentFilter']): WordList | null {
  if (path === null) return null
  try {
    return createWordList(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new StartError(`BLOCKED_WORDS_FILE names ${path}, which cannot be read: ${(error as Error).message}`)
  }
}

/**
 * The filter for whatever the configuration names: the list first, as it costs nothing, and then the hook. Null where
 * there is none. Throws a StartError.
 */
export function openContentFilter(
  config: Config['contentFilter'],
  words: WordList | null,
  onError: (error: unknown) => void,
): ContentFilter | null {
  const filters = words === null ? [] : [createWordFilter(words)]
  const { hook, hookTimeoutMs: timeoutMs, hookFails: fails } = config
  if (hook !== null) {
    try {
      filters.push(createContentHook({ ...hook, timeoutMs, fails, onError }))
    } catch (error) {
      throw new StartError(`The content hook cannot be asked: ${(error as Error).message}`)
    }
  }
  const [only, ...others] = filters
  return only === undefined ? null : others.length === 0 ? only : inTurn(filters)
}
