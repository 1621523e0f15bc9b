import { parseArgs } from 'node:util'
import { UsageError } from '../../lib/usage-error.ts'

export const help = `Holds the message store to its promises while everything goes wrong that can.

  npm run check:store -- [options]

Two clients whose clocks are wrong send to, change and read a few channels of a Postgres of their own, which is killed,
frozen, cut off and held up meanwhile. After each round everything stands still, and what is stored is held against all
that anybody was told. The first contradiction ends it, with what shows it and the seed. It takes some minutes.

  --rounds N     how often everything is looked at (20)
  --sends N      sends to be acknowledged in a round (5000)
  --faults N     things that go wrong in a round, at least (13, as many as there are kinds)
  --seed N       decides who does what, and what goes wrong when (another one each time)
  --deadline MS  how long clients wait for the store (1500)
  --help
`

/** What was asked for. */
export type Command = { rounds: number; sends: number; faults: number; seed: number; deadlineMs: number }

/** Reads the arguments; null where help is wanted. Throws a UsageError. */
export function parseCommand(args: readonly string[]): Command | null {
  const { help, ...values } = parse(args)
  if (help) return null
  const number = (name: keyof typeof values, least: number, most: number) => {
    const value = Number(values[name])
    if (Number.isInteger(value) && value >= least && value <= most) return value
    throw new UsageError(`--${name} is a whole number from ${least} to ${most}, and not ${values[name]}.`)
  }
  return {
    rounds: number('rounds', 1, 10_000),
    sends: number('sends', 1, 1_000_000),
    faults: number('faults', 0, 10_000),
    seed: number('seed', 0, 2 ** 32 - 1),
    deadlineMs: number('deadline', 200, 60_000),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string', default: '20' },
        sends: { type: 'string', default: '5000' },
        faults: { type: 'string', default: '13' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
        deadline: { type: 'string', default: '1500' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
