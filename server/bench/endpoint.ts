import { findPlace } from '../replicas/placement.ts'
import { type Way, ways } from '../replicas/testing/rivals.ts'
import { simulateComings, simulateStorm, type Step } from '../replicas/testing/simulation.ts'
import { median } from './measure.ts'

/*
 * Where `endpoint` sends people, simulated: no sockets, and the same figures in every run. How many have to change their
 * replica when one comes or goes, how even it is, and what the bound costs and gives.
 */

const clients = 100_000
const replicas = 10
const seed = 7

export async function benchEndpoint(): Promise<void> {
  for (const [title, crowd] of [
    ['two devices for a user, more or less', 0],
    ['the same, and 5,000 clients of one user', 5_000],
  ] as const) {
    say(`\n${clients.toLocaleString('en')} clients, ${replicas} → ${replicas + 1} → ${replicas} replicas; ${title}`)
    say(row('', ['10: spread', 'together', '→ 11: moved', 'least', 'spread', 'again', '→ 10: moved', 'least', 'spread']))
    for (const [name, way] of Object.entries(ways)) {
      const { begin, join, leave, together, again } = simulateComings(way, { clients, replicas, seed, crowd })
      say(row(name, [figure(begin.spread), percent(together), ...cells(join), percent(again), ...cells(leave)]))
    }
  }

  say('\na storm of 100,000 to ten replicas in one second, which hear of each other 100 ms later: the spread in the end')
  say(row('', ['this', 'told alone', 'hash mod n', 'fewest']))
  for (const [name, more] of [
    ['empty before', {}],
    ['nine with 12,000 each before, one with none', { before: [...Array<number>(9).fill(12_000), 0] }],
    ['empty before, 50,000 clients of one user', { crowd: 50_000 }],
  ] as const) {
    const spread = (how: { senders?: number; find?: Way }) =>
      figure(simulateStorm({ clients, replicas, seconds: 1, seed, ...more, ...how }).spread)
    const blind = [ways['plain: hash mod n']!, ways['fewest sockets']!].map((find) => spread({ find, senders: 1 }))
    say(row(name, [spread({}), spread({ senders: 1 }), ...blind]))
  }

  say('\ntime to find a place, µs')
  for (const count of [3, 10, 100]) {
    const places = Array.from({ length: count }, (_, nth) => ({ name: `https://maru-${nth}.example.org`, load: 1_000 }))
    say(row(`${count} replicas`, [median(Array.from({ length: 9 }, () => timeOf(places))).toFixed(2)]))
  }
}

function timeOf(places: { name: string; load: number }[]): number {
  const rounds = 20_000
  const started = performance.now()
  for (let nth = 0; nth < rounds; nth++) findPlace(places, String(nth))
  return ((performance.now() - started) / rounds) * 1_000
}

const figure = (ratio: number) => ratio.toFixed(3)
const percent = (share: number) => `${(share * 100).toFixed(2)} %`
const cells = ({ moved, least, spread }: Step) => [percent(moved), percent(least), figure(spread)]
const row = (name: string, figures: readonly string[]) =>
  `  ${name.padEnd(42)}${figures.map((text) => text.padStart(13)).join('')}`
const say = (line: string) => void process.stdout.write(`${line}\n`)

if (import.meta.main) await benchEndpoint()
