import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lines } from '../server/import/testing/run-import.ts'
import { createRandom } from '../server/testing/random.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { operation } from './testing/operations.ts'
import { findAll, importText, joinAll } from './testing/search.ts'

/** The logs that the project shows itself with. */
const logs = ['ubuntu', 'korean'].map((name) => readFileSync(new URL(`../server/demo/${name}.jsonl`, import.meta.url), 'utf8'))

/** Larger ones of the same kinds, where they are at hand. */
function moreLogs(): string[] {
  const folder = new URL('../../shared/data/', import.meta.url)
  if (!existsSync(folder)) return []
  const ubuntu = gunzipSync(readFileSync(new URL('ubuntu-irc.jsonl.gz', folder))).toString().split('\n').slice(0, 4_000)
  const korean = readFileSync(new URL('korean-chat.csv', folder), 'utf8').split(/[,\n]/).slice(2, 6_000)
  return [
    ubuntu.map((line) => JSON.parse(line) as { nick: string; at: string; text: string }).map((line) => ({
      channel: 'more ubuntu', author: line.nick, time: line.at, text: line.text,
    })),
    korean.map((text, nth) => ({ channel: 'more korean', time: Date.UTC(2018, 0, 1) + nth * 3_600_000, text })),
  ].map((said) => lines(...said.filter(({ text }) => text.trim() !== '')))
}

let app: TestApp
let alice: Person
let all: { id: string; content: string }[]
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
  for (const log of [...logs, ...moreLogs()]) await importText(app, log)
  all = []
  for (const channelId of await joinAll(alice)) {
    const whole = await wholeHistory(alice, channelId)
    all.push(...whole.filter(({ kind }) => kind === 'USER' || kind === 'ACTION'))
  }
}, 120_000)
afterAll(() => app.stop())

type Whole = { channel: { messages: { edges: { cursor: string; node: { id: string; content: string; kind: string } }[] } } }
const wholeDocument = operation<Whole, { channelId: string; before: string | null }>(
  `query Whole($channelId: ID!, $before: String) {
    channel(id: $channelId) { messages(last: 100, before: $before) { edges { cursor node { id content kind } } } }
  }`,
)

async function wholeHistory(person: Person, channelId: string) {
  const found: { id: string; content: string; kind: string }[] = []
  for (let before: string | null = null; ; ) {
    const page: Whole = await person.client.request(wholeDocument, { channelId, before })
    const edges: Whole['channel']['messages']['edges'] = page.channel.messages.edges
    if (edges.length === 0) return found
    found.push(...edges.map(({ node }) => node))
    before = edges[0]!.cursor
  }
}

/** Words of a text as a reader sees them, with those that are run together: userName, mp3. */
const wordsOf = (text: string): Set<string> =>
  new Set(
    (text.match(/[A-Za-z0-9]+/g) ?? [])
      .flatMap((word) => [word, ...(word.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+/g) ?? []).filter((part) => part.length > 1)])
      .map((word) => word.toLowerCase()),
  )

const expectSame = async (query: string, isFound: (content: string) => boolean) => {
  const found = await findAll(alice, query, 100)
  const expected = all.filter(({ content }) => isFound(content))
  expect(found.map(({ node }) => node.id).toSorted(), query).toEqual(expected.map(({ id }) => id).toSorted())
  const times = found.map(({ node }) => +new Date(node.createdAt))
  expect(times).toEqual(times.toSorted((a, b) => b - a))
}

test('every word finds the messages that have it, and no others', async () => {
  expect(all.length).toBeGreaterThan(200)
  const random = createRandom(7)
  const ascii = all.filter(({ content }) => /^[\x20-\x7e]+$/.test(content))
  const withWords = all.map(({ id, content }) => ({ id, content, words: wordsOf(content) }))
  for (let nth = 0; nth < 40; nth++) {
    const words = [...wordsOf(random.pick(ascii).content)].slice(0, 12)
    if (words.length === 0) continue
    const wanted = random.chance(0.3) ? [random.pick(words), random.pick(words)] : [random.pick(words)]
    const ids = new Set(withWords.filter(({ words }) => wanted.every((word) => words.has(word))).map(({ content }) => content))
    await expectSame(wanted.join(' '), (content) => ids.has(content))
  }
}, 60_000)

test('every two syllables or more find the messages that have them anywhere', async () => {
  const random = createRandom(8)
  const korean = all.flatMap(({ content }) => content.match(/[가-힣]{2,}/g) ?? [])
  expect(korean.length).toBeGreaterThan(100)
  for (let nth = 0; nth < 40; nth++) {
    const run = random.pick(korean)
    const start = random.below(run.length - 1)
    const piece = run.slice(start, start + 2 + random.below(3))
    await expectSame(piece, (content) => content.includes(piece))
  }
}, 60_000)
