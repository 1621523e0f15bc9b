import { convertHangulToQwerty, convertQwertyToHangul } from 'es-hangul'
import type { Database } from '../../drizzle/connection.ts'
import { keepSuggestions } from '../../workers/suggestions.ts'
import { buildNames, buildTerms } from '../../workers/suggestions-trees.ts'
import { createAutocompleteService } from '../domain/autocomplete.ts'
import { alone } from '../message-store/maintenance-lock.ts'
import { createRandom, type Random } from '../testing/random.ts'
import { crowded, fillNames, type Sizes, viewers } from './autocomplete-fill.ts'
import { type BenchStore, startBenchStore } from './bench-store.ts'
import { percentile, timesInTurns } from './measure.ts'
import type { BenchOptions } from './options.ts'

const sizes: Sizes = { people: 1_000_000, channels: 100_000, terms: 1_000_000 }
const shortSizes: Sizes = { people: 50_000, channels: 5_000, terms: 50_000 }

/** A statement that does nothing. */
const roundTrip = 'one round trip'

/** What is typed of each length: each of them is a person's, a channel's or a term's name as far as it goes. */
const readings = 200

const lengths = [1, 2, 3, 4, 5, 6]

/** Suggestions while somebody types, beside a plain `LIKE 'x%' ORDER BY` over the same names. */
export async function benchAutocomplete({ short }: BenchOptions): Promise<void> {
  const size = short ? shortSizes : sizes
  const store = await startBenchStore()
  try {
    await timed('filled', () => fillNames(store, size))
    await store.admin.run(`insert into suggestion_trees (name) values ('NAMES'), ('TERMS') on conflict do nothing`, [])
    const { admin } = store
    await timed('tree of names', async () => (await buildNames(admin)).nodes)
    await timed('tree of terms', async () => (await alone(admin, (session) => buildTerms(admin, session, () => false)))!.nodes)
    await admin.run('vacuum (analyze) suggestion_nodes', [])
    await reportSizes(admin)
    await compare(store, size)
    await timed('names counted anew', async () => (await keepSuggestions({ database: admin, isBlocked: () => false }))!.counted)
  } finally {
    await store.stop()
  }
}

async function timed(what: string, work: () => Promise<unknown>) {
  const started = performance.now()
  const result = await work()
  process.stderr.write(`${what}${result === undefined ? '' : ` (${result})`}: ${((performance.now() - started) / 1_000).toFixed(1)} s\n`)
}

async function reportSizes({ run }: Database) {
  const rows = await run<{ name: string; rows: number; bytes: string }>(
    `select relname as name, reltuples::int as rows, pg_total_relation_size(oid) as bytes from pg_class
     where relname in ('name_keys', 'suggestion_nodes', 'plain_names', 'search_samples') order by relname`,
    [],
  )
  for (const { name, rows: count, bytes } of rows) {
    process.stdout.write(`  ${name.padEnd(20)} ${count.toLocaleString('en').padStart(12)} rows ${Math.round(Number(bytes) / 1e6).toLocaleString('en').padStart(8)} MB\n`)
  }
}

/** One thing typed: what stands on the screen, and the whole syllables of it, which is all that LIKE can look for. */
type Typed = { screen: string; like: string }

async function compare(store: BenchStore, size: Sizes) {
  const database = store.open(4)
  const random = createRandom(11)
  const typed = { Korean: await pickKorean(store.admin), English: await pickEnglish(store.admin) }
  const services = { warm: createAutocompleteService({ database }), fresh: createAutocompleteService({ database }) }
  const anybody = () => String(1 + random.below(viewers))
  // Beside it the rest can be compared with that of another machine, or of a busier day.
  const work: Record<string, () => Promise<unknown>> = { [roundTrip]: () => database.run('select 1', []) }
  for (const [language, names] of Object.entries(typed)) {
    for (const length of lengths) {
      const next = (): Typed => names(random, length)
      const ask = (service: keyof typeof services, viewerId: string, channelId: string | null = null) =>
        services[service].find(viewerId, { prefix: next().screen, kinds: null, channelId, first: null })
      work[`${language} ${length}, LIKE`] = () => like(database, next().like)
      work[`${language} ${length}, autocomplete`] = () => ask('warm', anybody())
      // As by a process that has just started, and a viewer whom it does not know yet.
      work[`${language} ${length}, nothing remembered`] = () => {
        services.fresh = createAutocompleteService({ database })
        return ask('fresh', anybody())
      }
      for (const [nth, members] of crowded.entries()) {
        work[`${language} ${length}, in a channel of ${Math.min(members, size.people).toLocaleString('en')}`] = () =>
          ask('warm', anybody(), String(size.people + 1 + nth))
      }
    }
  }
  const times = await timesInTurns(readings, work)
  process.stdout.write(`\n${size.people.toLocaleString('en')} people, ${size.channels.toLocaleString('en')} channels, ${size.terms.toLocaleString('en')} terms; ms, and the ratio to LIKE\n`)
  process.stdout.write(`  ${'strokes'.padEnd(44)} ${'p50'.padStart(9)} ${'p99'.padStart(9)} ${'of p50'.padStart(8)} ${'of p99'.padStart(8)}\n`)
  for (const [name, list] of Object.entries(times)) {
    const base = times[`${name.split(',')[0]}, LIKE`] ?? list
    const figures = [percentile(list, 0.5), percentile(list, 0.99)]
    const ratios = [figures[0]! / percentile(base, 0.5), figures[1]! / percentile(base, 0.99)]
    const spell = (numbers: number[], digits: number, width: number) => numbers.map((number) => number.toFixed(digits).padStart(width)).join(' ')
    process.stdout.write(`  ${name.padEnd(44)} ${spell(figures, 2, 9)} ${spell(ratios, 4, 8)}\n`)
  }
}

/** The plain way. The text stands in the statement, so that the planner sees how common it is. */
const like = ({ run }: Database, prefix: string) =>
  run(
    `select kind, id, name from plain_names
     where lower(name) like '${prefix.toLowerCase().replaceAll(/['\\%_]/g, '')}%' order by popularity desc limit 10`,
    [],
  )

async function someNames({ run }: Database, condition: string): Promise<string[]> {
  const rows = await run<{ name: string }>(
    `select name from plain_names tablesample system (1) where ${condition} order by random() limit 2000`,
    [],
  )
  return rows.map(({ name }) => name)
}

/** Names as they are typed with so many strokes; LIKE gets the syllables that are whole, or else the first one's. */
async function pickKorean(database: Database) {
  const names = await someNames(database, `name ~ '^[가-힣]{2,}'`)
  return (from: Random, length: number): Typed => {
    const name = from.pick(names)
    const screen = convertQwertyToHangul(convertHangulToQwerty(name.split(' ')[0]!).slice(0, length))
    const whole = Array.from(screen).filter((character, nth) => name[nth] === character).join('')
    return { screen, like: whole === '' ? name[0]! : whole }
  }
}

async function pickEnglish(database: Database) {
  const names = await someNames(database, `name ~ '^[a-z]{6,}'`)
  return (from: Random, length: number): Typed => {
    const screen = from.pick(names).slice(0, length)
    return { screen, like: screen }
  }
}
