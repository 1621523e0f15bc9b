import { parseArgs } from 'node:util'

/** What a benchmark is told. */
export type BenchOptions = {
  /** How many messages a filled store holds; several where growth is what is measured. */
  messages: readonly number[]
  /** A folder in which filled stores are kept and found again; null is none: they go when the run is over. */
  keep: string | null
  /** A folder with chat to fill stores with; null is prose that is made up. */
  data: string | null
  /** Few sockets for a short time: for a first look, not for figures to keep. */
  short: boolean
  /** How often those that are compared with peers take their turn; null is as often as the benchmark has it. */
  rounds: number | null
  /** Whether peers are compared by the memory of a socket alone. */
  memory: boolean
  /** Which peers are compared with, by their names; null for all. */
  peers: readonly string[] | null
}

export const usage = `npm run bench -- [name ...] [options]

  --messages 1000000,10000000  how large the filled stores are
  --keep FOLDER                keep filled stores there, and use those that are there
  --data FOLDER                fill with the chat in this folder (.txt, .csv, .jsonl, .jsonl.gz), not with made-up prose
  --short                      peers, variety, storm, delay and autocomplete in a minute or two each, for a first look
  --peers ws-frame,yoga        compare with these only, and with ws-string, which the ratios are to
  --rounds 5                   peers: how often everyone takes a turn
  --memory                     peers: only the memory of a socket
`

/** Reads a command line into the names of benchmarks and their options; throws a TypeError that says what is wrong. */
export function parseBench(args: string[]): { names: string[]; options: BenchOptions } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      messages: { type: 'string', default: '1000000,10000000' },
      keep: { type: 'string' },
      data: { type: 'string' },
      short: { type: 'boolean', default: false },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      memory: { type: 'boolean', default: false },
    },
  })
  const messages = values.messages.split(',').map(Number)
  if (!messages.every((count) => Number.isInteger(count) && count > 0)) {
    throw new TypeError('--messages takes whole numbers, separated by commas')
  }
  const { keep = null, data = null, short, memory } = values
  const peers = values.peers?.split(',') ?? null
  const rounds = values.rounds === undefined ? null : Number(values.rounds)
  if (rounds !== null && !(Number.isInteger(rounds) && rounds > 0)) throw new TypeError('--rounds takes a whole number')
  return { names: positionals, options: { messages, keep, data, short, rounds, memory, peers } }
}
