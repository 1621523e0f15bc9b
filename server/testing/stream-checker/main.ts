import { UsageError } from '../../lib/usage-error.ts'
import { discardDataDir, makeDataDir } from '../server-process.ts'
import type { Chronicle, Promised } from './chronicle.ts'
import { type Command, help, parseCommand } from './command.ts'
import { checkStreams } from './run.ts'

const say = (text: string) => void process.stdout.write(`${text}\n`)

const list = (figures: ReadonlyMap<string, number>) =>
  [...figures]
    .toSorted(([one], [other]) => one.localeCompare(other))
    .map(([name, figure]) => `${String(Math.round(figure)).padStart(10)}  ${name}`)
    .join('\n')

const faultsIn = ({ counts }: Chronicle) =>
  [...counts].reduce((sum, [name, count]) => sum + (name.startsWith('fault: ') ? count : 0), 0)

/** Faults that are shown whole; the others are mostly the same again. */
const shown = 5

async function run(command: Command): Promise<number> {
  const { deliveries, seconds, subscribers, roundSeconds: round, quietMs: quiet, seed, bus, weigh, except } = command
  const asked = Object.entries({ deliveries, seconds, subscribers, round, quiet, seed, bus })
  const again = `npm run check:streams -- ${asked.map(([name, value]) => `--${name} ${value}`).join(' ')}`
  say(`The same again: ${again}\n`)
  say('seconds  deliveries  acknowledged  connections  faults')
  const line = (chronicle: Chronicle, note: string) => {
    const { now, counted } = chronicle
    const figures: [number, number][] = [
      [Math.round(now() / 1_000), 7],
      [counted('deliveries'), 10],
      [counted('sends acknowledged'), 12],
      [counted('connections'), 11],
      [faultsIn(chronicle), 6],
    ]
    say(`${figures.map(([figure, width]) => String(figure).padStart(width)).join('  ')}  ${note}`)
  }
  const brokenOff = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => brokenOff.abort())
  const dataDir = await makeDataDir()
  try {
    const chronicle = await checkStreams({
      dataDir, deliveries, seconds, subscribers, roundSeconds: round, quietMs: quiet, seed, bus, weigh,
      except: except as Promised[],
      signal: brokenOff.signal,
      onProgress: (so) => line(so, ''),
      onRound: (nth, so) => line(so, `round ${nth}: ${so.findings.length === 0 ? 'all is well' : `${so.findings.length} faults`}`),
    })
    say(`\nHow often:\n${list(chronicle.counts)}`)
    const { findings, remarks } = chronicle
    if (remarks.length > 0) say(`\nStrange, but within what is promised:\n\n${remarks.join('\n\n')}`)
    if (findings.length === 0) {
      say(`\nThe streams have done as they promise. Seed ${seed}.`)
      return 0
    }
    const kinds = Map.groupBy(findings, ({ kind }) => kind)
    const counted = [...kinds].map(([kind, all]) => `${kind} ${all.length}`).join(', ')
    const evidence = [...kinds.values()].flatMap((all) => all.slice(0, shown)).map(({ text }) => text)
    process.stderr.write(`\nThe streams have not done as they promise. Seed ${seed}. ${counted}.\n\n${evidence.join('\n\n')}\n\nOnce more: ${again}\n`)
    return 1
  } finally {
    await discardDataDir(dataDir)
  }
}

let code = 1
try {
  const command = parseCommand(process.argv.slice(2))
  if (command === null) say(help)
  code = command === null ? 0 : await run(command)
} catch (error) {
  process.stderr.write(error instanceof UsageError ? `${error.message}\n--help tells how.\n` : `${(error as Error).stack}\n`)
  code = error instanceof UsageError ? 2 : 1
}
// Proxies that have fallen silent may still wait for their end.
process.exit(code)
