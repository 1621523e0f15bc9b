import { parseArgs } from 'node:util'
import { UsageError } from '../../../server/lib/usage-error.ts'

export const help = `Holds pushes to their promise, to arrive once, while everything goes wrong that can.

  npm run check:pushes -- [options]

Dozens of people with devices of all platforms talk in groups and by two, mute, read, leave and come back, while the
worker processes are killed, ended and frozen, and the providers, which this process plays, fail a third of the time and
declare tokens dead. When nothing is left to do, what the providers have taken is held against what was done. It runs on
a Postgres of its own, or in the empty database at DATABASE_URL; 10,000 messages take a quarter of an hour.

  --messages N    messages to be sent (10000)
  --people N      who take part (36)
  --workers N     worker processes (3)
  --per-minute N  PUSH_PER_MINUTE: what a device gets beyond is summed up (1000)
  --failing N     requests of a hundred that providers fail (33)
  --losing N      messages after which an answer of a provider is lost, on the average (100)
  --quiet MS      the most that passes between two blows to workers (8000)
  --pace MS       the most that each of six writers waits before a message (300)
  --drain S       the most that the queue may take to become empty at the end (600)
  --seed N        decides who does what, and what goes wrong when (another one each time)
  --help
`

/** What was asked for. */
export type Command = Record<(typeof names)[number], number>

const limits = {
  messages: [1, 10_000_000],
  people: [12, 1_000],
  workers: [1, 20],
  'per-minute': [1, 1_000],
  failing: [0, 90],
  losing: [1, 1_000_000],
  quiet: [1, 1_000_000],
  pace: [1, 1_000_000],
  drain: [1, 36_000],
  seed: [0, 2 ** 32 - 1],
} as const
const names = Object.keys(limits) as (keyof typeof limits)[]

/** Reads the arguments; null where help is wanted. Throws a UsageError. */
export function parseCommand(args: readonly string[]): Command | null {
  const values = parse(args)
  if (values.help) return null
  const read = names.map((name) => {
    const [least, most] = limits[name]
    const value = Number(values[name])
    if (Number.isInteger(value) && value >= least && value <= most) return [name, value] as const
    throw new UsageError(`--${name} is a whole number from ${least} to ${most}, and not ${values[name]}.`)
  })
  return Object.fromEntries(read) as Command
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        messages: { type: 'string', default: '10000' },
        people: { type: 'string', default: '36' },
        workers: { type: 'string', default: '3' },
        'per-minute': { type: 'string', default: '1000' },
        failing: { type: 'string', default: '33' },
        losing: { type: 'string', default: '100' },
        quiet: { type: 'string', default: '8000' },
        pace: { type: 'string', default: '300' },
        drain: { type: 'string', default: '600' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
