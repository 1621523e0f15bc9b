import { startEmbeddedPostgres } from '../../../server/lib/embedded-postgres.ts'
import { UsageError } from '../../../server/lib/usage-error.ts'
import { discardDataDir, makeDataDir } from '../../../server/testing/server-process.ts'
import { type Command, help, parseCommand } from './command.ts'
import type { Evidence } from './evidence.ts'
import { keyOf, type Ledger } from './ledger.ts'
import { checkPushes, type Outcome, type Progress } from './run.ts'

const say = (text: string) => void process.stdout.write(`${text}\n`)

/** Faults that are shown of each kind; the others are mostly the same again. */
const shown = 5

/** Every process has a pool, and one that was killed leaves its connections to be noticed. */
const maxConnections = 300

const list = (figures: ReadonlyMap<string, number>) =>
  [...figures]
    .toSorted(([one], [other]) => one.localeCompare(other))
    .map(([name, figure]) => `${String(Math.round(figure)).padStart(10)}  ${name}`)
    .join('\n')

const line = ({ seconds, phase, messages, taken, requests, blows, left }: Progress) => {
  const figures: [number, number][] = [
    [Math.round(seconds), 7],
    [messages, 8],
    [requests, 8],
    [taken, 7],
    [blows, 5],
    [left, 7],
  ]
  say(`${figures.map(([figure, width]) => String(figure).padStart(width)).join('  ')}  ${phase}`)
}

async function run(command: Command): Promise<number> {
  const asked = Object.entries(command).map(([name, value]) => `--${name} ${value}`)
  const again = `npm run check:pushes -- ${asked.join(' ')}`
  say(`The same again: ${again}\n`)
  say('seconds  messages  requests    taken  blows  to do')
  const brokenOff = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => brokenOff.abort())
  const dataDir = await makeDataDir()
  const given = process.env.DATABASE_URL
  const postgres = given === undefined || given === '' ? await startEmbeddedPostgres({ dataDir, maxConnections }) : null
  try {
    const outcome = await checkPushes({
      ...command,
      databaseUrl: postgres?.url ?? given!,
      dataDir,
      perMinute: command['per-minute'],
      failing: command.failing / 100,
      quietMs: command.quiet,
      paceMs: command.pace,
      drainMs: command.drain * 1_000,
      signal: brokenOff.signal,
      onProgress: line,
    })
    return tell(outcome, command, again)
  } catch (error) {
    if (!brokenOff.signal.aborted) throw error
    process.stderr.write('\nNot finished.\n')
    return 1
  } finally {
    await postgres?.stop()
    await discardDataDir(dataDir)
  }
}

function tell(outcome: Outcome, { seed }: Command, again: string): number {
  const { findings, counts, ledger, evidence, seconds, heldUpMs } = outcome
  for (const { how } of ledger.blows) counts.set(`blows: ${how}`, (counts.get(`blows: ${how}`) ?? 0) + 1)
  counts.set('answers that were lost', ledger.lost.length)
  counts.set('notices that were taken', evidence.taken.length)
  counts.set('seconds', seconds)
  for (const [share, ms] of delays(ledger, evidence)) {
    counts.set(`milliseconds from a message to its notice, ${share}`, ms)
  }
  counts.set('milliseconds that the providers were held up, at most', heldUpMs)
  say(`\nHow often:\n${list(counts)}`)
  if (findings.length === 0) {
    say(`\nPushes have arrived as promised. Seed ${seed}.`)
    return 0
  }
  const kinds = Map.groupBy(findings, ({ kind }) => kind)
  const counted = [...kinds].map(([kind, all]) => `${kind} ${all.length}`).join(', ')
  const texts = [...kinds].flatMap(([kind, all]) => all.slice(0, shown).map(({ text }) => `${kind}: ${text}`))
  const verdict = `Pushes have not arrived as promised. Seed ${seed}. ${counted}.`
  process.stderr.write(`\n${verdict}\n\n${texts.join('\n\n')}\n\nOnce more: ${again}\n`)
  return 1
}

/** How long after the acknowledgement each device was told, for the first time, by itself. */
function delays(ledger: Ledger, evidence: Evidence): [string, number][] {
  const answered = new Map(ledger.messages.map((message) => [keyOf(message.channel.id, message.seq), message.answered]))
  const firsts = new Map<string, number>()
  for (const { kind, key, device, at } of evidence.taken) {
    const pair = `${device.id} ${key}`
    if (kind !== 'show' || key === null || firsts.has(pair)) continue
    firsts.set(pair, Math.max(0, at - (answered.get(key) ?? at)))
  }
  const sorted = [...firsts.values()].toSorted((one, other) => one - other)
  return [0.5, 0.95, 0.99, 1].map((share) => [`p${share * 100}`, sorted[Math.ceil(share * sorted.length) - 1] ?? 0])
}

let code = 1
try {
  const command = parseCommand(process.argv.slice(2))
  if (command === null) say(help)
  code = command === null ? 0 : await run(command)
} catch (error) {
  const { message, stack } = error as Error
  process.stderr.write(error instanceof UsageError ? `${message}\n--help tells how.\n` : `${stack}\n`)
  code = error instanceof UsageError ? 2 : 1
}
process.exit(code)
