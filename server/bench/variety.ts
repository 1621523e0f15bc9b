import { startLoad } from './live/load.ts'
import { maruSide, messageFields, messagesSubscription, startMaru, startStore } from './live/maru.ts'
import { pinElsewhere, requireSockets } from './live/processes.ts'
import { type Cost, measureCost } from './live/rounds.ts'
import { createPublisher, type Side } from './live/side.ts'
import { printTable, ratio, spell } from './live/table.ts'
import { median } from './measure.ts'
import type { BenchOptions } from './options.ts'

type Plan = { sockets: number; rounds: number; seconds: number; selections: readonly number[]; viewers: readonly number[] }

const long: Plan = { sockets: 5_000, rounds: 3, seconds: 4, selections: [1, 10, 100, 1_000], viewers: [1, 10, 100] }
const short: Plan = { sockets: 500, rounds: 1, seconds: 1, selections: [1, 10, 100], viewers: [1, 10] }

const underWay = 16

/** What different clients of one channel ask for: so many answers are made of each message. */
type Variety = { name: string; answers: number; side: Side }

/**
 * What a message to one channel costs where its sockets ask for different things: other selections, or one whose answer
 * depends on who asks. The cost should follow the number of answers, not that of sockets.
 */
export async function benchVariety({ short: isShort }: BenchOptions): Promise<void> {
  const plan = isShort ? short : long
  requireSockets(plan.sockets)
  const unpin = pinElsewhere()
  const store = await startStore()
  const load = startLoad()
  try {
    const maru = await startMaru({ databaseUrl: await store.makeDatabase(), people: Math.max(...plan.viewers) })
    try {
      const side = await maruSide('', maru)
      const varieties: Variety[] = [
        ...plan.selections.map((answers) => ({
          name: answers === 1 ? 'one selection' : `${answers.toLocaleString('en')} selections`,
          answers,
          side: withQueries(side, Array.from({ length: answers }, (_, nth) => selection(nth))),
        })),
        ...plan.viewers.map((answers) => ({
          name: `unreadCount, of ${answers === 1 ? 'one viewer' : `${answers} viewers`}`,
          answers,
          side: withViewers(withQueries(side, [viewerDependent]), answers),
        })),
      ]
      const costs = new Map<Variety, { one: Cost; many: Cost }[]>(varieties.map((variety) => [variety, []]))
      for (let round = 0; round < plan.rounds; round++) {
        for (const variety of varieties) {
          process.stderr.write(`round ${round + 1} of ${plan.rounds}: ${variety.name}\n`)
          const publisher = createPublisher(variety.side)
          await load.open(variety.side.scripts(plan.sockets))
          await publisher.prepare(load, plan.sockets)
          const stage = { side: variety.side, publisher, load, sockets: plan.sockets }
          await measureCost(stage, underWay, plan.seconds / 2)
          const one = await measureCost(stage, 1, plan.seconds)
          costs.get(variety)!.push({ one, many: await measureCost(stage, underWay, plan.seconds) })
          await load.close()
        }
      }
      reportVarieties(plan.sockets, costs)
    } finally {
      await maru.stop()
    }
  } finally {
    await store.stop()
    load.stop()
    unpin()
  }
}

/** The subscription of the comparison with one field more, which has another name for each number. */
const selection = (nth: number) =>
  messagesSubscription.replace(messageFields, `${messageFields} also${String(nth).padStart(4, '0')}: seq`)

const viewerDependent = messagesSubscription.replace('channel { id }', 'channel { id unreadCount }')

/** The clients of a side, with another query each, in turns. */
function withQueries(side: Side, queries: readonly string[]): Side {
  return {
    ...side,
    scripts: (sockets) =>
      side.scripts(sockets).map((script, nth) => ({
        ...script,
        says: script.says.map((text) => {
          const message = JSON.parse(text) as { payload: { query?: string } }
          if (message.payload.query !== undefined) message.payload.query = queries[nth % queries.length]!
          return JSON.stringify(message)
        }),
      })),
  }
}

/** As many clients, but only of the first people: everybody's own come round every so many. */
function withViewers(side: Side, viewers: number): Side {
  return {
    ...side,
    scripts(sockets) {
      const first = side.scripts(viewers)
      const subscribe = side.scripts(sockets).map((script) => script.says[1]!)
      return subscribe.map((text, nth) => ({ ...first[nth % viewers]!, says: [first[nth % viewers]!.says[0]!, text] }))
    },
  }
}

function reportVarieties(sockets: number, costs: ReadonlyMap<Variety, { one: Cost; many: Cost }[]>): void {
  const of = (variety: Variety, how: 'one' | 'many') => median(costs.get(variety)!.map((cost) => cost[how].cpuPerMillion))
  const [base] = costs.keys()
  // Of a million deliveries to one: milliseconds for each message.
  const perMessage = (variety: Variety, how: 'one' | 'many') => (of(variety, how) * sockets) / 1_000
  const perAnswer = (variety: Variety, how: 'one' | 'many') =>
    variety.answers === 1
      ? undefined
      : ((perMessage(variety, how) - perMessage(base!, how)) / (variety.answers - 1)) * 1_000
  printTable(
    `${sockets.toLocaleString('en')} sockets on one channel: milliseconds of the server’s processor time for a message, ` +
      'and microseconds for each answer after the first',
    ['', 'single', 'ratio', 'each answer', '16 at once', 'ratio', 'each answer'],
    [...costs.keys()].map((variety) => [
      variety.name,
      ...(['one', 'many'] as const).flatMap((how) => [
        spell(perMessage(variety, how)),
        ratio(perMessage(variety, how), perMessage(base!, how)),
        spell(perAnswer(variety, how)),
      ]),
    ]),
  )
}
