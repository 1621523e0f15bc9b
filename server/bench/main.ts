import { benchAutocomplete } from './autocomplete.ts'
import { benchDelay } from './delay.ts'
import { benchEndpoint } from './endpoint.ts'
import { benchFeed } from './feed.ts'
import { benchMedia } from './media.ts'
import { type BenchOptions, parseBench, usage } from './options.ts'
import { benchPages } from './pages.ts'
import { benchPeers } from './peers.ts'
import { benchPushes } from './pushes.ts'
import { benchRateLimits } from './rate-limits.ts'
import { benchSends } from './sends.ts'
import { benchStoreCatchUp } from './store-catch-up.ts'
import { benchStorePages } from './store-pages.ts'
import { benchStoreSearch } from './store-search.ts'
import { benchStoreSends } from './store-sends.ts'
import { benchStoreSize } from './store-size.ts'
import { benchStorm } from './storm.ts'
import { benchVariety } from './variety.ts'

const benchmarks: Record<string, (options: BenchOptions) => Promise<void>> = {
  sends: benchSends,
  'rate-limits': benchRateLimits,
  pages: benchPages,
  peers: benchPeers,
  variety: benchVariety,
  storm: benchStorm,
  delay: benchDelay,
  pushes: benchPushes,
  media: benchMedia,
  feed: benchFeed,
  autocomplete: benchAutocomplete,
  endpoint: benchEndpoint,
  'store-sends': benchStoreSends,
  'store-pages': benchStorePages,
  'store-catch-up': benchStoreCatchUp,
  'store-search': benchStoreSearch,
  'store-size': benchStoreSize,
}

function parse() {
  try {
    const parsed = parseBench(process.argv.slice(2))
    const unknown = parsed.names.filter((name) => !(name in benchmarks))
    if (unknown.length === 0) return parsed
    throw new TypeError(`No such benchmark: ${unknown.join(', ')}. There are: ${Object.keys(benchmarks).join(', ')}`)
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}`)
    process.exit(1)
  }
}

const { names, options } = parse()
for (const name of names.length > 0 ? names : Object.keys(benchmarks)) await benchmarks[name]!(options)
