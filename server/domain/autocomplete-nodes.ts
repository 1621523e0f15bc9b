import { LRUCache } from 'lru-cache'
import type { Database } from '../../drizzle/connection.ts'
import { keyAfter, leadOf } from '../lib/hangul-keys.ts'
import { findableKey } from '../lib/text.ts'

/**
 * What is kept at a prefix. `key` is only there where the node is whole, and says what of it begins with something
 * longer; `id` is a person's or a channel's, or a term's own text.
 */
export type NodeEntry = { id: string; score: number; key?: string }

export type Node = { kind: NodeKind; prefix: string; whole: boolean; entries: readonly NodeEntry[] }

export type NodeKind = 'USER' | 'CHANNEL' | 'TERM'

/** A tree is built and swapped in as a whole. */
export type TreeName = 'NAMES' | 'TERMS'

/** Something that may be shown: somebody or something that is, or was, found by a key. */
export type Candidate = { kind: 'USER' | 'CHANNEL'; id: string; score: number }

/**
 * Entries of nodes that a process remembers, of about 150 bytes each: those of the short prefixes that most typing begins
 * with. That there is no node at a prefix is remembered, too.
 */
const maxRemembered = 100_000

/** For how long a process takes a generation for the one that is read; old nodes stay for longer. Milliseconds. */
const generationMs = 2_000

/** Keys of each kind that are read through where there is no node: more than there are, unless many are new. */
const maxScanned = 500

/** Characters from which on it is rare that very many names begin alike, other than with the commonest family names. */
const likelyRare = 4

/**
 * Letters of a key that a term has at most: 40 characters of up to five letters. A few signs stand for whole sentences,
 * and what is typed of them would be asked for letter by letter.
 */
const maxTermKey = 200

/** Channels of one name that are looked at. */
const maxNamed = 50

/** Entries as they are stored. */
export const encodeEntries = (entries: readonly NodeEntry[]): string =>
  JSON.stringify(entries.map(({ id, score, key }) => (key === undefined ? [id, score] : [id, score, key])))

const decodeEntries = (text: string): NodeEntry[] =>
  (JSON.parse(text) as [string, number, string?][]).map(([id, score, key]) =>
    key === undefined ? { id, score } : { id, score, key },
  )

/** Reads what begins with a prefix, whoever asks. It costs the same, however much that is. */
export function createNodeReader(database: Pick<Database, 'run'>) {
  const known = new LRUCache<string, { nodes: Node[] }>({
    maxSize: maxRemembered,
    sizeCalculation: ({ nodes }) => 1 + nodes.reduce((sum, { entries }) => sum + entries.length, 0),
  })
  let generations: { at: number; asked: Promise<Map<TreeName, number>> } | null = null

  /** The generation that is read; 0 where there is none. */
  async function generationOf(tree: TreeName): Promise<number> {
    const now = performance.now()
    if (generations === null || now - generations.at > generationMs) {
      const asked = database
        .run<{ name: TreeName; generation: string }>('/* trees */ select name, generation from suggestion_trees', [])
        .then((rows) => new Map(rows.map(({ name, generation }) => [name, Number(generation)])))
      const asking = { at: now, asked }
      generations = asking
      asked.catch(() => {
        if (generations === asking) generations = null
      })
    }
    return (await generations.asked).get(tree) ?? 0
  }

  async function remembered(key: string, read: () => Promise<Node[]>): Promise<Node[]> {
    const found = known.get(key)
    if (found !== undefined) return found.nodes
    const nodes = await read()
    known.set(key, { nodes })
    return nodes
  }

  type RawNode = { kind: NodeKind; prefix: string; whole: boolean; entries: string }
  const toNode = ({ entries, ...node }: RawNode): Node => ({ ...node, entries: decodeEntries(entries) })

  type Kind = Candidate['kind']

  const nodesKey = (generation: number, prefix: string) => `${generation} ${prefix}`

  /** The nodes of people and of channels at a prefix, as far as there are any. */
  async function find(prefix: string): Promise<Map<Kind, Node>> {
    const generation = await generationOf('NAMES')
    if (generation === 0) return new Map()
    const nodes = await remembered(nodesKey(generation, prefix), async () => {
      const rows = await database.run<RawNode>(
        `/* nodes */ select kind, prefix, whole, entries from suggestion_nodes
         where lead = $1 and prefix = $2 and kind = any ('{USER,CHANNEL}') and generation = $3`,
        [leadOf(prefix), prefix, generation],
      )
      return rows.map(toNode)
    })
    return new Map(nodes.map((node) => [node.kind as Kind, node]))
  }

  async function scanRows(kinds: readonly Kind[], prefix: string, most: number): Promise<Candidate[]> {
    // Each with a limit of its own: very many people are not to take the places of channels.
    const scans = kinds.map(
      (kind) =>
        `(select kind, subject_id, score from name_keys
          where lead = $1 and kind = '${kind}' and key >= $2 and key < $3 order by key limit $4)`,
    )
    const rows = await database.run<{ kind: Kind; subject_id: string; score: number }>(
      `/* name keys */ ${scans.join(' union all ')}`,
      [leadOf(prefix), prefix, keyAfter(prefix), most],
    )
    return rows.map((row) => ({ kind: row.kind, id: row.subject_id, score: row.score }))
  }

  /** Channels that have exactly this key: they are found, however many others begin with it. */
  async function channelsNamed(key: string): Promise<Candidate[]> {
    const rows = await database.run<{ subject_id: string; score: number }>(
      `/* channels named */ select subject_id, score from name_keys
       where lead = $1 and key = $2 and kind = 'CHANNEL' limit ${maxNamed}`,
      [leadOf(key), key],
    )
    return best(rows.map((row) => ({ kind: 'CHANNEL', id: row.subject_id, score: row.score })))
  }

  return {
    /** The node at a prefix; null where few begin with it, and they are to be read one by one. */
    find: async (kind: Kind, prefix: string): Promise<Node | null> => (await find(prefix)).get(kind) ?? null,

    /** Whoever and whatever has a key that begins with a prefix: of each kind the first keys in their order, `most` at most. */
    scan: async (kinds: readonly Kind[], prefix: string, most = maxScanned): Promise<Candidate[]> =>
      best(await scanRows(kinds, prefix, most)),

    /**
     * Who and what begins with a prefix, in no order: of those of which there are many the best, and the channels that
     * have no longer name. `isAll`: there is nobody else. One round trip where the prefix is long, and few begin with it;
     * two at most.
     */
    async read(kinds: readonly Kind[], prefix: string): Promise<{ found: Candidate[]; isAll: boolean }> {
      if (kinds.length === 0) return { found: [], isAll: true }
      const isKnown = known.has(nodesKey(await generationOf('NAMES'), prefix))
      // Most likely it comes to that, and who has guessed wrong has asked for little.
      const guessed = !isKnown && prefix.length >= likelyRare ? scanRows(kinds, prefix, maxScanned) : null
      guessed?.catch(() => undefined)
      const nodes = await find(prefix)
      const few = kinds.filter((kind) => !nodes.has(kind))
      const [rows, named] = await Promise.all([
        few.length === 0 ? [] : (guessed ?? scanRows(few, prefix, maxScanned)),
        kinds.includes('CHANNEL') && nodes.has('CHANNEL') ? channelsNamed(prefix) : [],
      ])
      // What has a node was guessed in vain: what is found is not to depend on what this process remembers.
      const scanned = rows.filter(({ kind }) => few.includes(kind))
      const isRead = (kind: Kind) => scanned.filter((each) => each.kind === kind).length < maxScanned
      const ofNodes = kinds.flatMap((kind) => nodes.get(kind)?.entries.map(({ id, score }) => ({ kind, id, score })) ?? [])
      return { found: [...scanned, ...named, ...ofNodes], isAll: few.length === kinds.length && few.every(isRead) }
    },

    /** The terms that begin with a prefix, the best first; where they are many the best of them. */
    async terms(prefix: string): Promise<readonly NodeEntry[]> {
      if (prefix.length > maxTermKey) return []
      const generation = await generationOf('TERMS')
      if (generation === 0) return []
      const [node] = await remembered(`${generation} TERM ${prefix}`, async () => {
        const rows = await database.run<RawNode>(
          `/* terms */ select kind, prefix, whole, entries from suggestion_nodes
           where lead = $1 and prefix = any ($2::text[]) and kind = 'TERM' and generation = $3
           order by length(prefix) desc limit 1`,
          [leadOf(prefix), beginnings(prefix), generation],
        )
        return rows.map(toNode)
      })
      if (node === undefined) return []
      // Below a node that is not whole there would be another one.
      if (node.prefix !== prefix && !node.whole) return []
      return node.entries.filter(({ key }) => key === undefined || key.startsWith(prefix))
    },

    /** Whoever has this username, which is typed in full. */
    async personNamed(username: string): Promise<Candidate[]> {
      const key = findableKey(username)
      if (key === null) return []
      const rows = await database.run<{ user_id: string }>(
        '/* username */ select user_id from usernames where key = $1',
        [key],
      )
      return rows.map((row) => ({ kind: 'USER', id: row.user_id, score: 0 }))
    },
  }
}

export type NodeReader = ReturnType<typeof createNodeReader>

/** Each once, the best known first. */
export function best(candidates: readonly Candidate[]): Candidate[] {
  const once = new Map(candidates.map((candidate) => [candidate.id, candidate]))
  return [...once.values()].toSorted((one, other) => other.score - one.score || (one.id < other.id ? -1 : 1))
}

/** A prefix and all that it begins with, but for the empty one unless it is that. */
function beginnings(prefix: string): string[] {
  const characters = Array.from(prefix)
  return characters.length === 0 ? [''] : characters.map((_, nth) => characters.slice(0, nth + 1).join(''))
}
