import { expect, test } from 'vitest'
import { mentionCandidates } from './mentions.ts'

test.each([
  ['hi @alice', [['alice']]],
  ['@Alice, @BOB!', [['alice'], ['bob']]],
  ['(@a.b-c_d)', [['a.b-c_d']]],
  ['ask @alice.', [['alice.', 'alice']]],
  ['ask @alice... now', [['alice...', 'alice']]],
  ['mail@example.org, e\u0301@example.org', []],
  ['@@alice @ alice', []],
  ['@민수', [['민수', '민']]],
  ['@민수에게', [['민수에게', '민수에', '민수', '민']]],
  ['@민수에게'.normalize('NFD'), [['민수에게', '민수에', '민수', '민']]],
  ['@alice님은 @bob씨', [['alice님은', 'alice님', 'alice'], ['bob씨', 'bob']]],
  ['@ΟΔΟΣ', [['οδος']]],
])('%s', (text, candidates) => {
  expect(mentionCandidates(text)).toEqual(candidates)
})

test('looks up fifty names of a message, and no more', () => {
  expect(mentionCandidates('@a '.repeat(60))).toHaveLength(50)
})

test('takes the worst text without effort', () => {
  const accents = `@a${'\u0301\u0316'.repeat(50_000)}`
  for (const text of ['@'.repeat(100_000), accents, '@a.'.repeat(33_000), `@${'가'.repeat(99_999)}`]) {
    const started = performance.now()
    mentionCandidates(text)
    // Normalising all of the accents takes seconds.
    expect(performance.now() - started).toBeLessThan(250)
  }
})
