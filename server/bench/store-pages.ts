import { snowflakeAt } from '../message-store/snowflake.ts'
import { readSpan } from '../message-store/pages.ts'
import { createRandom } from '../testing/random.ts'
import type { BenchStore } from './bench-store.ts'
import { openFilledStore } from './fill-store.ts'
import { reportTimes, timesInTurns } from './measure.ts'
import type { BenchOptions } from './options.ts'

const pageSize = 50
const readings = 2_000

/** Channels in which nothing was said for so long are asleep. Milliseconds. */
const asleepMs = 2 * 365 * 86_400_000

/** Pages of history out of stores of different sizes, each of some channel. */
export async function benchStorePages(options: BenchOptions): Promise<void> {
  const stores: BenchStore[] = []
  try {
    const work: Record<string, () => Promise<unknown>> = {}
    const baseOf = new Map<string, string>()
    for (const messages of options.messages) {
      const store = await openFilledStore(messages, options)
      stores.push(store)
      const label = (place: string, count: number) => `${place}, ${count.toLocaleString('en')} messages`
      for (const [place, read] of Object.entries(await readingsOf(store))) {
        work[label(place, messages)] = read
        baseOf.set(label(place, messages), label(place, options.messages[0]!))
      }
    }
    const times = await timesInTurns(readings, work)
    const sorted = Object.fromEntries(Object.keys(times).toSorted().map((name) => [name, times[name]!]))
    reportTimes(`A page of ${pageSize} from the store`, sorted, (name) => baseOf.get(name)!)
  } finally {
    for (const store of stores) await store.stop()
  }
}

type Long = { id: string; last_seq: number; last_id: string }

async function readingsOf(store: BenchStore): Promise<Record<string, () => Promise<unknown>>> {
  const database = store.open(1)
  const random = createRandom(3)
  const long = await store.admin.run<Long>('select id, last_seq, last_id from channels where last_seq >= $1', [pageSize])
  const asleep = long.filter((channel) => BigInt(channel.last_id) < BigInt(snowflakeAt(Date.now() - asleepMs)))
  const awake = long.filter((channel) => !asleep.includes(channel))
  const page = ({ id, last_seq }: Long, first: number) => {
    const from = Math.min(Math.max(1, first), last_seq - pageSize + 1)
    return readSpan(database, id, { from, to: from + pageSize - 1 }, 'start')
  }
  return {
    newest: () => {
      const channel = random.pick(awake)
      return page(channel, channel.last_seq)
    },
    oldest: () => page(random.pick(awake), 1),
    'random place': () => {
      const channel = random.pick(awake)
      return page(channel, random.below(channel.last_seq))
    },
    'newest, of a channel asleep': () => {
      const channel = random.pick(asleep)
      return page(channel, channel.last_seq)
    },
  }
}
