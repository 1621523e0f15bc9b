import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../../drizzle/connection.ts'
import { ChannelsDocument } from '../../../client-sdk/index.ts'
import type { Random } from '../../../server/testing/random.ts'
import type { Providers } from '../testing/providers.ts'
import type { Doings } from './doings.ts'
import { countRequests, countTaken, howMany, type IconCheck, readLeftovers, readProviders } from './evidence.ts'
import type { Channel, Ledger, Person } from './ledger.ts'

export type Calm = {
  icons: IconCheck[]
  /** Devices whose number was another before than what was unread by then. */
  behind: number
  /** Requests that came to providers, and notices that they took. */
  requests: number
  taken: number
  /** Messages that were sent for it. */
  messages: number
}

/** One message is told within a second; on a busy machine, and with a summary that waits for ten, it takes longer. */
const toldWithinMs = 60_000

/**
 * When all is done and nothing goes wrong any more: sends one message to each channel, each when the one before has
 * been told, and looks at the number that is last on each device's icon. Whatever order notices came in before, it must
 * now be what is unread.
 */
export async function beCalm(
  ledger: Ledger,
  providers: Providers,
  doings: Doings,
  database: Database,
  since: number,
  random: Random,
  signal: AbortSignal,
): Promise<Calm> {
  const lastOf = () => {
    const taken = readProviders(providers, ledger)
    return new Map(taken.filter((one) => one.badge !== null).map((one) => [one.device, one]))
  }
  const before = await iconsOf(ledger, [...lastOf().values()])
  const behind = before.filter(({ badge, unread, device }) => badge !== unread && isSteady(device.owner)).length
  const [requests, taken] = [countRequests(providers), countTaken(providers)]
  const chosen = coveringAll(ledger)
  for (const channel of chosen) {
    const writer = channel.members.find((member) => member.role === 'writer')!
    await doings.send(writer, channel, random)
    await idle(database, signal)
  }
  const icons = await iconsOf(ledger, [...lastOf().values()].filter((one) => one.at > since && one.kind === 'show'))
  return {
    icons,
    behind,
    requests: countRequests(providers) - requests,
    taken: countTaken(providers) - taken,
    messages: chosen.length,
  }
}

const isSteady = ({ role }: Person) => role !== 'writer' && role !== 'restless'

/** Few channels in which everybody is. */
function coveringAll(ledger: Ledger): Channel[] {
  const missing = new Set(ledger.people.filter((person) => person.places.size > 0))
  const inIt = (channel: Channel) => channel.members.filter((member) => member.places.get(channel)!.member.now())
  const chosen: Channel[] = []
  for (const channel of ledger.channels.toSorted((one, other) => other.members.length - one.members.length)) {
    if (!inIt(channel).some((member) => missing.has(member))) continue
    inIt(channel).forEach((member) => missing.delete(member))
    chosen.push(channel)
  }
  return chosen
}

/** Waits until there has been nothing to do for a moment: an entry of the outbox becomes a job in between. */
async function idle(database: Database, signal: AbortSignal): Promise<void> {
  const since = performance.now()
  for (let quiet = 0; quiet < 2; ) {
    if (signal.aborted || performance.now() - since > toldWithinMs) return
    quiet = howMany(await readLeftovers(database)) === 0 ? quiet + 1 : 0
    await sleep(50)
  }
}

/** What is last on these devices, beside what their owners have unread: all that they want to hear of. */
async function iconsOf(ledger: Ledger, last: readonly Pick<IconCheck, 'device' | 'badge'>[]): Promise<IconCheck[]> {
  const unread = new Map<Person, number>()
  for (const person of ledger.people) {
    const { channels } = await person.client.request(ChannelsDocument, { first: 100, after: null })
    const counted = channels.edges.filter(({ node: { viewerMembership: own } }) => {
      const isMuted = own?.mutedUntil != null && Date.parse(own.mutedUntil) > Date.now()
      return own?.notificationLevel !== 'NONE' && !isMuted
    })
    // Of channels that somebody hears only mentions of, those count.
    const counts = counted.map(({ node: { viewerMembership: own, unreadCount, unreadMentionCount } }) =>
      own?.notificationLevel === 'MENTIONS' ? unreadMentionCount : unreadCount,
    )
    unread.set(person, counts.reduce((sum, count) => sum + count, 0))
  }
  return last
    .filter(({ device }) => !device.dead.now())
    .map(({ device, badge }) => ({ device, badge, unread: unread.get(device.owner)! }))
}
