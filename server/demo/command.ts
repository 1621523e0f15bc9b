import { parseArgs } from 'node:util'
import { UsageError } from '../lib/usage-error.ts'

export const help = `Lets people talk on a running server, so that there is something to watch.

  npm run demo -- [options]

It signs up the people of a real conversation, opens a public channel, says what to paste into GraphiQL to watch, and
has them talk. Started again, the same people go on in the same channel. Where the talks are from: server/demo/README.md

  --url URL       the server (on this machine, at PORT or 4000)
  --talk NAME     ubuntu: 2005, somebody is about to leave Windows; korean: small talk (ubuntu)
  --speed N       how many times as fast as it was (5)
  --wait SECONDS  for somebody to join before it begins, at the longest (20)
  --loop          begin again at the end, until Ctrl-C
  --help
`

export const talks = ['ubuntu', 'korean'] as const
export type Talk = (typeof talks)[number]

/** What was asked for. */
export type Command = {
  /** The address of the API. */
  url: string
  talk: Talk
  speed: number
  waitSeconds: number
  loop: boolean
}

/** Reads the arguments; null where help is wanted. `port` is where a server on this machine listens. Throws a UsageError. */
export function parseCommand(args: readonly string[], port: number): Command | null {
  const { help, loop, ...values } = parse(args, port)
  if (help) return null
  const talk = talks.find((name) => name === values.talk)
  if (talk === undefined) throw new UsageError(`--talk is one of ${talks.join(', ')}, and not ${values.talk}.`)
  const speed = Number(values.speed)
  if (!(speed > 0)) throw new UsageError(`--speed is a number above 0, and not ${values.speed}.`)
  const waitSeconds = Number(values.wait)
  if (!(waitSeconds >= 0)) throw new UsageError(`--wait is a number of seconds, and not ${values.wait}.`)
  return { url: apiAddress(values.url), talk, speed, waitSeconds, loop }
}

/** The API's address, from the server's or its own. */
function apiAddress(given: string): string {
  if (!/^https?:\/\//.test(given) || !URL.canParse(given)) {
    throw new UsageError(`--url is an address such as http://localhost:4000, and not ${given}.`)
  }
  const url = new URL(given)
  if (!url.pathname.endsWith('/graphql')) url.pathname = `${url.pathname.replace(/\/$/, '')}/graphql`
  return url.href
}

function parse(args: readonly string[], port: number) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        url: { type: 'string', default: `http://localhost:${port}` },
        talk: { type: 'string', default: 'ubuntu' },
        // A quarter of an hour becomes three minutes: fast enough to watch, slow enough to read.
        speed: { type: 'string', default: '5' },
        wait: { type: 'string', default: '20' },
        loop: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
