import { printTable, ratio, spell } from './live/table.ts'
import type { Cost, Delay } from './live/rounds.ts'
import { median } from './measure.ts'

/** Deliveries a second at which delay is measured: what even the slowest can do, and what few can. */
export const calm = 8_000
export const busy = 60_000

/** What one side gave in one round. */
export type Turn = {
  /** Messages one after the other, each when all have the one before it. */
  one: Cost
  /** Sixteen at a time. */
  many: Cost
  /** Absent where the side cannot do as many deliveries a second. */
  calm?: Delay
  busy?: Delay
  /** Seconds of processor time for a message that nobody is told of, one by one and sixteen at a time; of Maru only. */
  sendOne?: number
  sendMany?: number
}

/** The turns of each side, by its name; the first is what the others are compared with. */
export type Results = Map<string, Turn[]>

/** Prints what was measured with so many sockets on one channel: medians of all turns. */
export function reportTurns(sockets: number, results: Results): void {
  const [base] = results.keys()
  const of = (name: string, pick: (turn: Turn) => number | undefined): number | undefined => {
    const figures = results.get(name)!.map(pick).filter((figure) => figure !== undefined)
    return figures.length === 0 ? undefined : median(figures)
  }
  const names = [...results.keys()]
  const withRatio = (name: string, pick: (turn: Turn) => number) => {
    const figure = of(name, pick)
    return [spell(figure), ratio(figure, of(base!, pick))]
  }
  const title = `${sockets.toLocaleString('en')} sockets on one channel`

  printTable(
    `${title}: seconds of the server’s processor time for a million deliveries, and deliveries a second`,
    ['', ...['CPU, single', 'CPU, 16 at once', '/s, single', '/s, 16 at once'].flatMap((of) => [of, 'ratio']), 'clients busy'],
    names.map((name) => [
      name,
      ...withRatio(name, (turn) => turn.one.cpuPerMillion),
      ...withRatio(name, (turn) => turn.many.cpuPerMillion),
      ...withRatio(name, (turn) => turn.one.deliveriesPerSecond),
      ...withRatio(name, (turn) => turn.many.deliveriesPerSecond),
      percent(of(name, (turn) => Math.max(turn.one.clientsBusy, turn.many.clientsBusy))),
    ]),
  )

  printTable(
    `${title}: milliseconds from sending to receipt, at ${[calm, busy].map(spell).join(' and ')} deliveries a second`,
    ['', 'p50', 'p95', 'p99', 'busy, p50', 'p95', 'p99'],
    names.map((name) => [
      name,
      ...(['calm', 'busy'] as const).flatMap((which) =>
        (['p50', 'p95', 'p99'] as const).map((share) => spell(of(name, (turn) => turn[which]?.[share]))),
      ),
    ]),
  )

  const marus = names.filter((name) => of(name, (turn) => turn.sendOne) !== undefined)
  const rows = marus.flatMap((name) =>
    ([['single', 'one', 'sendOne'], ['16 at once', 'many', 'sendMany']] as const).map(([how, cost, send]) => {
      // Seconds for a message are, shared by its sockets, as much for a million deliveries.
      const sending = (turn: Turn) => (turn[send]! / sockets) * 1e6
      const fanout = of(name, (turn) => turn[cost].cpuPerMillion - sending(turn))
      return [
        `${name}, ${how}`,
        spell(of(name, (turn) => turn[cost].cpuPerMillion)),
        spell(of(name, sending)),
        spell(fanout),
        ratio(fanout, of(base!, (turn) => turn[cost].cpuPerMillion)),
      ]
    }),
  )
  printTable(
    `${title}: what of the processor time is sending, as measured with nobody subscribed`,
    ['', 'whole', 'sending', 'the rest', `rest, of ${base}`],
    rows,
  )
}

/** KB of the server for each socket: for all of them, and for the second half beyond the first. */
export type IdleKb = { all: number; secondHalf: number }

/**
 * Prints the memory of sockets in KB; the first is what the others are compared with. What a server had taken before,
 * and not given back, is used for the first sockets: then the second half shows what one really takes.
 */
export function reportIdle(sockets: number, figures: ReadonlyMap<string, IdleKb>): void {
  const [base] = figures.values()
  printTable(
    `Resident KB of the server for each of ${sockets.toLocaleString('en')} subscribed sockets that get nothing`,
    ['', 'of all', 'ratio', 'of the second half', 'ratio'],
    [...figures].map(([name, { all, secondHalf }]) => [
      name,
      spell(all),
      ratio(all, base!.all),
      spell(secondHalf),
      ratio(secondHalf, base!.secondHalf),
    ]),
  )
}

const percent = (share: number | undefined) => (share === undefined ? '–' : `${Math.round(share * 100)} %`)
