/** The middle of some figures. */
export function median(figures: readonly number[]): number {
  const sorted = figures.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

/** Runs `work` over and over on each of `workers`, for `seconds`; returns how often in a second it was done. */
export async function rateOf<Worker>(
  workers: readonly Worker[],
  seconds: number,
  work: (worker: Worker) => Promise<unknown>,
): Promise<number> {
  const started = performance.now()
  const until = started + seconds * 1_000
  let done = 0
  await Promise.all(
    workers.map(async (worker) => {
      while (performance.now() < until) {
        await work(worker)
        done++
      }
    }),
  )
  return done / ((performance.now() - started) / 1_000)
}

/** Medians of several measurements that take turns, so that a slow moment of the machine hits all of them alike. */
export async function inTurns<Name extends string>(
  rounds: number,
  measurements: Record<Name, () => Promise<number>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(measurements) as Name[]
  const figures = new Map<Name, number[]>(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of names) figures.get(name)!.push(await measurements[name]())
    process.stderr.write(`round ${round + 1} of ${rounds}\n`)
  }
  return Object.fromEntries(names.map((name) => [name, median(figures.get(name)!)])) as Record<Name, number>
}

/** Prints figures as a table, each beside its ratio to `base`. */
export function report<Name extends string>(title: string, unit: string, figures: Record<Name, number>, base: Name) {
  process.stdout.write(`\n${title}\n`)
  for (const [name, figure] of Object.entries<number>(figures)) {
    const value = figure >= 100 ? Math.round(figure).toLocaleString('en') : figure.toPrecision(3)
    const ratio = (figure / figures[base]).toFixed(2)
    process.stdout.write(`  ${name.padEnd(44)} ${value.padStart(10)} ${unit}   ${ratio}\n`)
  }
}

/** The figure that a share of all (0 to 1) does not exceed. */
export function percentile(figures: readonly number[], share: number): number {
  const sorted = figures.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]!
}

/** Runs several readings `count` times, one after the other in turns; gives the milliseconds of each, in order. */
export async function timesInTurns<Name extends string>(
  count: number,
  readings: Record<Name, () => Promise<unknown>>,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(readings) as Name[]
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>
  // The first ones open connections and make plans.
  for (const name of names) await readings[name]()
  for (let nth = 0; nth < count; nth++) {
    for (const name of names) {
      const started = performance.now()
      await readings[name]()
      times[name].push(performance.now() - started)
    }
  }
  return times
}

const shares = [0.5, 0.95, 0.99]

/** Prints the p50, p95 and p99 of readings in milliseconds, and their ratios to those of `baseOf`, if any. */
export function reportTimes<Name extends string>(
  title: string,
  times: Record<Name, number[]>,
  baseOf: (name: Name) => Name | null = () => null,
) {
  const heading = shares.map((share) => `p${share * 100}`.padStart(8)).join(' ')
  process.stdout.write(`\n${title}\n  ${''.padEnd(60)} ${heading}\n`)
  for (const name of Object.keys(times) as Name[]) {
    const figures = shares.map((share) => percentile(times[name], share))
    const base = baseOf(name)
    const ratios = base === null ? [] : figures.map((figure, nth) => figure / percentile(times[base], shares[nth]!))
    const spell = (list: number[]) => list.map((figure) => figure.toFixed(2).padStart(8)).join(' ')
    process.stdout.write(`  ${name.padEnd(60)} ${spell(figures)} ms ${spell(ratios)}\n`)
  }
}
