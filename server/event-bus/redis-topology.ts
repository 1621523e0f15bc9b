import { askRedis, isCluster } from '../lib/redis.ts'
import type { RedisAddress } from '../lib/redis-url.ts'
import { openShard, type Shard, type ShardOptions } from './redis-shard.ts'
import { readSlots, slotCount, slotOf, type SlotRange } from './redis-slots.ts'

/** How often a cluster is asked who has which slots, when nothing speaks for a change. Milliseconds. */
const calmMs = 3_000

/** The same while something is away: who takes its place is found out by asking. Milliseconds. */
const troubledMs = 1_000

/**
 * A node has said that a channel is elsewhere. Not every node may know so yet, so that others are asked up to
 * `hurriedLooks` times, at first after so many milliseconds and then after twice as many each time.
 */
const hurriedMs = 50
const hurriedLooks = 5

/** What `REDIS_URL` names: one Redis, or the masters of a cluster as they are now. */
export type RedisTopology = {
  /** Where a channel lives; null where nobody is known to have it. */
  shardOf(channel: string): Shard | null
  shards(): Shard[]
  /** Whether every channel lives somewhere. */
  isWhole(): boolean
  close(): void
}

type Options = Omit<ShardOptions, 'address' | 'isSharded' | 'onMoved'> & {
  addresses: readonly RedisAddress[]
  /** Called when channels may live elsewhere than before. */
  onMap: () => void
}

/**
 * Finds out whether one Redis or a cluster is at these addresses, connects to it, and follows the slots of a cluster
 * from node to node, for as long as it takes. A node that is away stays in its place until the others have replaced it.
 *
 * It does what ioredis offers as `Cluster({ shardedSubscribers: true })`, which does not tell when it listens again
 * after a break, lets one frozen node hold up all others, and goes through all slots for each subscription.
 */
export function followRedis(options: Options): RedisTopology {
  const { addresses, onError } = options
  const [first] = addresses as [RedisAddress]
  const { db: _, ...access } = first
  /** The only Redis, where it is no cluster. */
  let only: Shard | null = null
  /** The masters by address. */
  const nodes = new Map<string, Shard>()
  let bySlot: (Shard | null)[] = []
  let isWhole = false
  let lastMap = ''
  let isClosed = false
  let hurriedLeft = 0
  let wake = () => {}

  const open = (address: RedisAddress, isSharded: boolean) =>
    openShard({ ...options, address, isSharded, onMoved: isSharded ? lookSoon : () => {} })
  const shards = () => (only === null ? [...nodes.values()] : [only])

  async function follow(): Promise<void> {
    while (!isClosed) {
      const found = (await askNodes()) ?? (await askAddresses())
      if (isClosed) return
      if (found === 'one') return takeOne()
      if (found !== null && takeMap(found)) hurriedLeft = 0
      await pause()
    }
  }

  /** Who has which slots, from the first node that answers; null where none does. */
  const askNodes = () => Promise.any([...nodes.values()].map((node) => node.askSlots().then(known))).catch(() => null)

  /** The same from where a node once was; names are looked up anew. */
  const askAddresses = () =>
    askRedis(addresses, onError, async (redis, address) =>
      (await isCluster(redis, addresses)) ? known(readSlots(await redis.cluster('SLOTS'), address)) : 'one',
    )

  function takeOne() {
    if (addresses.length > 1) onError(new Error('REDIS_URL names several addresses, and no cluster: the first is used.'))
    only = open(first, false)
    isWhole = true
    options.onMap()
  }

  /** Returns whether anything is new. */
  function takeMap(ranges: SlotRange[]): boolean {
    const map = JSON.stringify(ranges.toSorted((a, b) => a.first - b.first))
    if (map === lastMap) return false
    lastMap = map
    const next = Array<Shard | null>(slotCount).fill(null)
    const left = new Map(nodes)
    for (const { first, last, host, port } of ranges) {
      const name = `${host}:${port}`
      const node = nodes.get(name) ?? open({ ...access, host, port }, true)
      nodes.set(name, node)
      left.delete(name)
      next.fill(node, first, last + 1)
    }
    bySlot = next
    isWhole = !next.includes(null)
    for (const name of left.keys()) nodes.delete(name)
    options.onMap()
    for (const node of left.values()) node.close()
    return true
  }

  function lookSoon() {
    if (hurriedLeft > 0) return
    hurriedLeft = hurriedLooks
    wake()
  }

  function pause(): Promise<void> {
    const isCalm = isWhole && shards().every((shard) => shard.isUp())
    const ms = hurriedLeft > 0 ? hurriedMs * 2 ** (hurriedLooks - hurriedLeft--) : isCalm ? calmMs : troubledMs
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  follow().catch(onError)

  return {
    shardOf: (channel) => only ?? bySlot[slotOf(channel)] ?? null,
    shards,
    isWhole: () => isWhole,
    close() {
      isClosed = true
      wake()
      for (const shard of shards()) shard.close()
    },
  }
}

/** A node that was left out of its cluster, or has not joined it yet, knows of nobody: that is no answer. */
function known(ranges: SlotRange[]): SlotRange[] {
  if (ranges.length === 0) throw new Error('This node of a Redis Cluster knows of no slots.')
  return ranges
}
