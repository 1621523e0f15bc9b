import { UsageError } from '../../lib/usage-error.ts'
import { discardDataDir, makeDataDir } from '../server-process.ts'
import { type Command, help, parseCommand } from './command.ts'
import { Broken } from './history.ts'
import { checkStore, type Round } from './run.ts'

const say = (text: string) => void process.stdout.write(`${text}\n`)

const list = (figures: ReadonlyMap<string, number>) =>
  [...figures]
    .toSorted(([one], [other]) => one.localeCompare(other))
    .map(([name, figure]) => `${String(Math.round(figure)).padStart(10)}  ${name}`)
    .join('\n')

async function run({ deadlineMs, ...command }: Command): Promise<number> {
  const { rounds, sends, faults, seed } = command
  const asked = Object.entries({ rounds, sends, faults, seed, deadline: deadlineMs })
  const again = `npm run check:store -- ${asked.map(([name, value]) => `--${name} ${value}`).join(' ')}`
  say(`The same again: ${again}\n`)
  say('round  acknowledged  unknown  conflicts  changes  told  messages  seconds')
  const started = performance.now()
  const onRound = ({ nth, acknowledged, messages, counts }: Round) => {
    const counted = (what: string) => counts.get(what) ?? 0
    const figures: [number, number][] = [
      [nth, 5],
      [acknowledged, 12],
      [counted('sends of unknown outcome'), 7],
      [counted('conflicts'), 9],
      [counted('changes'), 7],
      [counted('changes told'), 4],
      [messages, 8],
      [Math.round((performance.now() - started) / 1_000), 7],
    ]
    say(figures.map(([figure, width]) => String(figure).padStart(width)).join('  '))
  }
  const brokenOff = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => brokenOff.abort())
  const dataDir = await makeDataDir()
  try {
    const { signal } = brokenOff
    const { counts, longest } = await checkStore({ dataDir, deadlineMs, ...command, onRound, signal })
    say(`\nHow often:\n${list(counts)}\n\nAt the longest, in milliseconds:\n${list(longest)}`)
    say('\nThe store has done as it promises.')
    return 0
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    const verdict = brokenOff.signal.aborted ? 'Not finished.' : `The store has not done as it promises. Seed ${seed}.`
    process.stderr.write(`\n${verdict}\n\n${error.message}\n\nOnce more: ${again}\n`)
    return 1
  } finally {
    await discardDataDir(dataDir)
  }
}

try {
  const command = parseCommand(process.argv.slice(2))
  // Whoever ends without a word has not come to the end.
  process.exitCode = 1
  if (command === null) say(help)
  process.exitCode = command === null ? 0 : await run(command)
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n--help tells how.\n`)
  process.exitCode = 2
}
