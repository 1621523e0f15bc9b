import { benchFanout } from './fanout.ts'
import { benchPages } from './pages.ts'
import { benchSends } from './sends.ts'

const benchmarks: Record<string, () => Promise<void>> = {
  sends: benchSends,
  pages: benchPages,
  fanout: benchFanout,
}

const named = process.argv.slice(2)
const unknown = named.filter((name) => !(name in benchmarks))
if (unknown.length > 0) {
  process.stderr.write(`No such benchmark: ${unknown.join(', ')}. There are: ${Object.keys(benchmarks).join(', ')}\n`)
  process.exit(1)
}
for (const name of named.length > 0 ? named : Object.keys(benchmarks)) await benchmarks[name]!()
