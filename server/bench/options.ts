import { parseArgs } from 'node:util'

/** What a benchmark is told. */
export type BenchOptions = {
  /** How many messages a filled store holds; several where growth is what is measured. */
  messages: readonly number[]
  /** A folder in which filled stores are kept and found again; null is none: they go when the run is over. */
  keep: string | null
  /** A folder with chat to fill stores with; null is prose that is made up. */
  data: string | null
}

export const usage = `npm run bench -- [name ...] [options]

  --messages 1000000,10000000  how large the filled stores are
  --keep FOLDER                keep filled stores there, and use those that are there
  --data FOLDER                fill with the chat in this folder (.txt, .csv, .jsonl, .jsonl.gz), not with made-up prose
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
    },
  })
  const messages = values.messages.split(',').map(Number)
  if (!messages.every((count) => Number.isInteger(count) && count > 0)) {
    throw new TypeError('--messages takes whole numbers, separated by commas')
  }
  return { names: positionals, options: { messages, keep: values.keep ?? null, data: values.data ?? null } }
}
