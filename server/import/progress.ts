import cliProgress from 'cli-progress'
import type { Progress } from './import-log.ts'

/** Between two lines where there is no terminal to draw on, in milliseconds. */
const lineIntervalMs = 5_000

type Output = NodeJS.WritableStream & { isTTY?: boolean }

/** Shows an import's progress: as a bar on a terminal, else as a line now and then. */
export function createProgress(output: Output): Progress {
  const stage = (what: string) => void output.write(`${what} …\n`)
  return output.isTTY ? { stage, ...createBar(output) } : { stage, ...createLines(output) }
}

type Counted = Omit<Progress, 'stage'>

function createBar(output: Output): Counted {
  const bar = new cliProgress.SingleBar(
    {
      stream: output,
      format: '{bar} {percentage} %  {value} of {total} messages  {eta_formatted} left',
      formatValue: (value, _, type) =>
        type === 'value' || type === 'total' ? value.toLocaleString('en') : String(value),
      hideCursor: true,
      // Stopping is the caller's, who closes the store as well.
      gracefulExit: false,
    },
    cliProgress.Presets.shades_classic,
  )
  return {
    start: (total, done) => bar.start(total, done),
    advance: (messages) => bar.increment(messages),
    stop: () => bar.stop(),
  }
}

function createLines(output: Output): Counted {
  let total = 0
  let value = 0
  let last = 0
  const write = () => {
    last = performance.now()
    output.write(`${value.toLocaleString('en')} of ${total.toLocaleString('en')} messages\n`)
  }
  return {
    start(all, done) {
      total = all
      value = done
      write()
    },
    advance(messages) {
      value += messages
      if (performance.now() - last >= lineIntervalMs) write()
    },
    stop() {},
  }
}
