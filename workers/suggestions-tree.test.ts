import { describe, expect, test } from 'vitest'
import { createRandom } from '../server/testing/random.ts'
import { createTree, type TreeEntry, type TreeNode } from './suggestions-tree.ts'

const byKey = (one: TreeEntry, other: TreeEntry) => Buffer.compare(Buffer.from(one.key), Buffer.from(other.key))

function build(entries: readonly TreeEntry[], options: { dense: number; best: number; whole: boolean }) {
  const nodes = new Map<string, TreeNode>()
  const tree = createTree({
    ...options,
    onNode(node) {
      expect(nodes.has(node.prefix), `${node.prefix} twice`).toBe(false)
      nodes.set(node.prefix, node)
    },
  })
  for (const entry of entries.toSorted(byKey)) tree.add(entry)
  tree.end()
  return nodes
}

/** The best of what begins with a prefix, the slow way. */
function bestOf(entries: readonly TreeEntry[], prefix: string, most: number): string[] {
  const found = entries.filter(({ key }) => key.startsWith(prefix))
  const sorted = found.toSorted((one, other) => other.score - one.score || (one.id < other.id ? -1 : 1))
  return [...new Set(sorted.map(({ id }) => id))].slice(0, most)
}

const letters = ['a', 'b', 'ㅎ', 'ㅏ', '👍', '東']

/** Keys of a few letters, so that many begin alike, some are beginnings of others, and some are the same. */
function someEntries(seed: number, count: number): TreeEntry[] {
  const random = createRandom(seed)
  return Array.from({ length: count }, () => ({
    key: Array.from({ length: 1 + random.below(7) }, () => letters[Math.min(random.below(6), random.below(6))]!).join(''),
    id: String(random.below(count)),
    score: 0,
  })).map((entry) => ({ ...entry, score: (Number(entry.id) * 7919) % 97 }))
}

const prefixesOf = (entries: readonly TreeEntry[]) =>
  new Set(entries.flatMap(({ key }) => Array.from(key, (_, nth) => Array.from(key).slice(0, nth + 1).join(''))))

describe.each([1, 2, 3, 4, 5])('a tree of made-up keys, the %ith', (seed) => {
  const entries = someEntries(seed, 600 * seed)

  test('has the best at each prefix of many, and no other nodes', () => {
    const nodes = build(entries, { dense: 20, best: 5, whole: false })
    for (const prefix of prefixesOf(entries)) {
      const isDense = entries.filter(({ key }) => key.startsWith(prefix)).length > 20
      expect(nodes.get(prefix)?.entries.map(({ id }) => id), prefix).toEqual(isDense ? bestOf(entries, prefix, 5) : undefined)
    }
    expect(nodes.has('')).toBe(false)
  })

  test('and, where it is whole, all of what is left', () => {
    const nodes = build(entries, { dense: 20, best: 5, whole: true })
    expect(nodes.get('')!.entries.map(({ id }) => id)).toEqual(bestOf(entries, '', 5))
    for (const prefix of prefixesOf(entries)) {
      // The longest there is on the way, as a reader takes it.
      const way = Array.from(prefix, (_, nth) => Array.from(prefix).slice(0, nth + 1).join(''))
      const node = nodes.get(way.findLast((each) => nodes.has(each))!)!
      if (!node.whole && node.prefix !== prefix) throw new Error(`nothing says what begins with ${prefix}`)
      const found = node.whole ? node.entries.filter(({ key }) => key.startsWith(prefix)) : node.entries
      expect(bestOf(found, '', 5), prefix).toEqual(bestOf(entries, prefix, 5))
    }
  })
})

test('few keys have no node at all, and nothing gives nothing', () => {
  expect(build(someEntries(1, 10), { dense: 20, best: 5, whole: false }).size).toBe(0)
  expect(build([], { dense: 20, best: 5, whole: false }).size).toBe(0)
  expect([...build([], { dense: 20, best: 5, whole: true }).values()]).toEqual([{ prefix: '', whole: false, entries: [] }])
})
