import type { Taken } from './evidence.ts'
import type { Blow, LostAnswer } from './ledger.ts'
import { type Context, nameOf } from './verdict.ts'

/**
 * How long what a provider has taken may go without being noted by a worker that lives: a request is given up after
 * 10 s, and what became of it is then written. Milliseconds.
 */
const flightMs = 15_000

/**
 * The most that may come twice because of one blow to a worker: what it had under way, of which there are 200 at a time
 * (`maxAtOnce` in delivering.ts), had all been taken by their providers, and none of it been noted. Nothing else can:
 * what waits for its turn has not been sent, and outcomes are written as they come, those that gather during one
 * statement with the next.
 */
const mostPerBlow = 200

/**
 * The most on the average. In flight is what is sent in a second times the seconds that an answer and its note take:
 * hundreds times hundredths. Jobs of which a process runs 16 at once stand for it with much to spare; what is seen is
 * less than one.
 */
export const meanPerBlow = 16

/**
 * Each notice that came twice has an explanation of its own: its worker was killed, ended or frozen with it in flight,
 * or the provider's answer to it was lost on purpose. What came twice bears the same collapse id, so that devices show
 * one.
 */
export function verifyDoubles({ ledger, evidence, find, count }: Context): void {
  const shown = evidence.taken.filter((one) => one.kind === 'show' && one.key !== null)
  const perBlow = new Map<Blow, number>()
  const lost = ledger.lost.toSorted((one, other) => one.at - other.at)
  for (const [, notices] of Map.groupBy(shown, (one) => `${one.device.id} ${one.key}`)) {
    for (const [nth, again] of notices.entries()) {
      const before = notices[nth - 1]
      if (before === undefined) continue
      count('doubled')
      if (again.collapseId !== before.collapseId) {
        const places = [before.collapseId, again.collapseId]
        find('replaced', `Twice, and not in the same place: ${again.key} to ${nameOf(again.device)}`, places)
      }
      const answer = takeLost(lost, before)
      if (answer) count('doubled as the answer was lost')
      else {
        const blow = blowOf(ledger.blows, before, again)
        if (blow === null) {
          find('once', `Twice, for no reason: ${again.key} to ${nameOf(again.device)}`, before.at, again.at)
        } else {
          count(`doubled as a worker was ${blow.how}`)
          perBlow.set(blow, (perBlow.get(blow) ?? 0) + 1)
        }
      }
    }
  }
  for (const [blow, doubled] of perBlow) {
    if (doubled > mostPerBlow) find('once', `${doubled} came twice when ${blow.who} was ${blow.how}.`)
  }
  const [sum, most] = [perBlow.values().reduce((sum, one) => sum + one, 0), Math.max(0, ...perBlow.values())]
  const { length } = ledger.blows
  if (sum > meanPerBlow * length) find('once', `${sum} came twice because of ${length} blows to workers.`)
  count('doubled by one blow, at most', most)
}

/** A provider loses the answer to its next notice; where little is said that may take a while. Milliseconds. */
const nextMs = 60_000

/** The lost answer that explains why a notice was sent again; each explains one. */
function takeLost(lost: LostAnswer[], { device, at }: Taken): boolean {
  const nth = lost.findIndex((one) => one.platform === device.platform && one.at <= at && at - one.at <= nextMs)
  if (nth >= 0) lost.splice(nth, 1)
  return nth >= 0
}

/** What has kept a worker from noting that the first was taken; the latest that may have. */
const blowOf = (blows: readonly Blow[], before: Taken, again: Taken): Blow | null =>
  blows.findLast((blow) => blow.from - flightMs <= before.at && before.at <= blow.to && again.at >= blow.from) ?? null
