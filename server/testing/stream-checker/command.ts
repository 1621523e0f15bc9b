import { parseArgs } from 'node:util'
import { UsageError } from '../../lib/usage-error.ts'
import { buses } from './bus.ts'

export const help = `Holds the live streams to their promises while everything goes wrong that can.

  npm run check:streams -- [options]

Three replicas with a Postgres and a Redis of their own serve hundreds of devices, which come and go, read slowly or not
at all, and come back to another replica. Meanwhile replicas are killed, drained and frozen, Redis is killed, emptied and
frozen, and Postgres is killed, frozen and cut off. After each round everything stands still, and what everybody was told
is held against what happened. The first round with a fault ends it, with what shows it and the seed. A million
deliveries take some minutes.

  --deliveries N   events to be told, at least (1000000)
  --seconds N      how long things go wrong, at least (60)
  --subscribers N  devices that listen (300)
  --round N        seconds after which everything is looked at (60)
  --quiet MS       the most that passes between two faults of a kind (8000)
  --seed N         decides who does what, and what goes wrong when (another one each time)
  --bus NAME       redis, or cluster for a Redis Cluster of six nodes (redis)
  --no-weighing    does not look at the memory, which takes two minutes
  --without NAMES  promises that are not looked at, with commas between them, such as presence
  --help
`

/** What was asked for. */
export type Command = {
  deliveries: number
  seconds: number
  subscribers: number
  roundSeconds: number
  quietMs: number
  seed: number
  bus: keyof typeof buses
  weigh: boolean
  except: string[]
}

/** Reads the arguments; null where help is wanted. Throws a UsageError. */
export function parseCommand(args: readonly string[]): Command | null {
  const values = parse(args)
  if (values.help) return null
  const number = (name: 'deliveries' | 'seconds' | 'subscribers' | 'round' | 'quiet' | 'seed', least: number, most: number) => {
    const value = Number(values[name])
    if (Number.isInteger(value) && value >= least && value <= most) return value
    throw new UsageError(`--${name} is a whole number from ${least} to ${most}, and not ${values[name]}.`)
  }
  if (!Object.hasOwn(buses, values.bus)) throw new UsageError(`--bus is one of ${Object.keys(buses).join(', ')}.`)
  return {
    deliveries: number('deliveries', 0, 1_000_000_000),
    seconds: number('seconds', 0, 1_000_000),
    subscribers: number('subscribers', 30, 5_000),
    roundSeconds: number('round', 5, 3_600),
    quietMs: number('quiet', 1, 1_000_000),
    seed: number('seed', 0, 2 ** 32 - 1),
    bus: values.bus as keyof typeof buses,
    weigh: !values['no-weighing'],
    except: values.without === '' ? [] : values.without.split(','),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        deliveries: { type: 'string', default: '1000000' },
        seconds: { type: 'string', default: '60' },
        subscribers: { type: 'string', default: '300' },
        round: { type: 'string', default: '60' },
        quiet: { type: 'string', default: '8000' },
        seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
        bus: { type: 'string', default: 'redis' },
        'no-weighing': { type: 'boolean', default: false },
        without: { type: 'string', default: '' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
