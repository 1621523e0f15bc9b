/** Something with a key; what has several keys comes with each of them. */
export type TreeEntry = { key: string; id: string; score: number }

/** What is found at a prefix, the best first. `whole`: all that begins with it, and not only the best. */
export type TreeNode = { prefix: string; whole: boolean; entries: readonly TreeEntry[] }

export type TreeOptions = {
  /** With more keys than this a prefix has a node of its own. */
  dense: number
  /** Entries of such a node. */
  best: number
  /**
   * Whether there is a node for everything: for what has no other place to be found. Then the first prefix of few keys
   * below one of many has a whole node, and the empty prefix one of the best.
   */
  whole: boolean
  /** Told of each node once, in no order to speak of. */
  onNode: (node: TreeNode) => void
}

/** A prefix below which keys part, or a key. */
type Level = {
  depth: number
  /** Keys that begin with it. */
  count: number
  /** All of them as long as they are few; then the best, and some others. */
  entries: TreeEntry[]
  /** Whole nodes below it that are wanted once it is known that it has many keys. */
  leaves: TreeNode[]
}

/**
 * Builds a prefix tree with the best entries at each node in one pass over the keys, which come in the order of their
 * code points. It holds the path to the newest key alone, with a few hundred entries at most at each place where keys
 * part, however many keys there are: the intervals of a sorted list are closed as in building a suffix tree from longest
 * common prefixes (Kasai et al. 2001), and what was best below goes up as they are.
 */
export function createTree({ dense, best, whole, onNode }: TreeOptions) {
  const root: Level = { depth: 0, count: 0, entries: [], leaves: [] }
  const open: Level[] = [root]
  let path: string[] = []
  let newest: TreeEntry | null = null

  const isDense = (level: Level) => level.count > dense || (whole && level === root)

  /** The best of some entries, each once. */
  function bestOf(entries: readonly TreeEntry[]): TreeEntry[] {
    const once = new Map<string, TreeEntry>()
    for (const entry of entries.toSorted((one, other) => other.score - one.score || (one.id < other.id ? -1 : 1))) {
      if (once.size === best) break
      if (!once.has(entry.id)) once.set(entry.id, entry)
    }
    return [...once.values()]
  }

  /** Closes what lies directly below a prefix; its own prefix, and those that lead to it alone, are on the path. */
  function close(level: Level, parent: Level): void {
    if (level.count > dense) {
      const entries = bestOf(level.entries)
      for (let depth = parent.depth + 1; depth <= level.depth; depth++) {
        onNode({ prefix: path.slice(0, depth).join(''), whole: false, entries })
      }
    } else if (whole && level.depth > parent.depth) {
      parent.leaves.push({ prefix: path.slice(0, parent.depth + 1).join(''), whole: true, entries: level.entries })
    }
    parent.count += level.count
    for (const entry of level.entries) parent.entries.push(entry)
    if (!isDense(parent)) return
    for (const leaf of parent.leaves.splice(0)) onNode(leaf)
    // Sorting now and then is cheaper than keeping them in order.
    if (parent.entries.length > Math.max(dense, 8 * best)) parent.entries = bestOf(parent.entries)
  }

  /** Closes everything below the first characters of the path. */
  function closeTo(depth: number): void {
    if (newest === null) return
    let level: Level = { depth: path.length, count: 1, entries: [newest], leaves: [] }
    while (open.at(-1)!.depth > depth) {
      const parent = open.pop()!
      close(level, parent)
      level = parent
    }
    if (open.at(-1)!.depth < depth) open.push({ depth, count: 0, entries: [], leaves: [] })
    close(level, open.at(-1)!)
  }

  return {
    /** Takes the next key, which must not come before the one before. */
    add(entry: TreeEntry): void {
      const characters = Array.from(entry.key)
      let common = 0
      while (common < path.length && path[common] === characters[common]) common++
      closeTo(common)
      path = characters
      newest = entry
    },

    /** Tells of what is left. */
    end(): void {
      closeTo(0)
      if (whole) onNode({ prefix: '', whole: false, entries: bestOf(root.entries) })
    },
  }
}
