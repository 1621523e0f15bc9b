import { WebSocket } from 'ws'
import {
  BlockUserDocument,
  CreateChannelDocument,
  createMaruClient,
  OpenDirectChannelDocument,
  SetChannelNotificationsDocument,
  SetPresenceDocument,
  SignInDocument,
  SignUpDocument,
  UpdateSettingsDocument,
} from '../../../client-sdk/index.ts'
import type { Random } from '../../../server/testing/random.ts'
import type { Person as TestPerson } from '../../../server/testing/test-app.ts'
import type { Providers } from '../testing/providers.ts'
import { platforms } from './evidence.ts'
import {
  addChannel,
  type Channel,
  createDevice,
  createPerson,
  type Device,
  type Ledger,
  type Person,
  type Role,
} from './ledger.ts'
import { createTimeline } from './timeline.ts'

const names = ['alice', 'bob', 'carol', 'dave', 'erin', '지우', '민준', '하나']
const password = 'a long password'

/** Those who stay as they are, most of whom want to hear everything. */
const steady: readonly Role[] = [
  ...(['plain', 'mentions', 'muted', 'none', 'quiet', 'busy'] as const),
  ...(['plain', 'blocker', 'plain', 'plain', 'plain', 'plain'] as const),
]

/** Signing up takes a core for a while: so many at a time. */
const atOnce = 4

/** Signs everybody up, gives them devices and channels, and has them say how they want to be told. */
export async function makeCast(
  ledger: Ledger,
  providers: Providers,
  url: string,
  count: number,
  random: Random,
): Promise<void> {
  const clientFor = (token?: string) =>
    createMaruClient({ url, webSocketImpl: WebSocket, ...(token === undefined ? {} : { token: () => token }) })
  const anybody = clientFor()

  async function signUp(nth: number): Promise<TestPerson> {
    const username = `${names[nth % names.length]}.${nth + 1}`
    const { signUp: tokens } = await anybody.request(SignUpDocument, { input: { username, password } })
    const { accessToken: token, viewer } = tokens
    return { id: viewer.id, username, token, client: clientFor(token), tokens }
  }

  /** One to three devices; each of the restless has a sign-in of its own for them, so that it shows what it likes. */
  async function giveDevices(person: Person, first: number): Promise<void> {
    const shows: Device['shows'] = createTimeline<Channel | null>(null)
    for (let nth = 0; nth <= first % 3; nth++) {
      const platform = platforms[(first + nth) % platforms.length]!
      const isOwn = person.role === 'restless' && nth > 0
      const by: TestPerson = isOwn ? await signInAgain(person) : person
      const device = await providers.register(by, platform)
      person.devices.push(createDevice(device, person, isOwn ? createTimeline<Channel | null>(null) : shows))
    }
  }

  async function signInAgain(person: Person): Promise<TestPerson> {
    const { signIn } = await anybody.request(SignInDocument, { input: { username: person.username, password } })
    return { ...person, client: clientFor(signIn.accessToken) }
  }

  const [writers, restless] = [Math.max(3, Math.round(count / 3)), Math.max(2, Math.round(count / 4))]
  const roleOf = (nth: number): Role =>
    nth < writers ? 'writer'
    : nth < writers + restless ? 'restless'
    : steady[(nth - writers - restless) % steady.length]!
  for (let from = 0; from < count; from += atOnce) {
    const some = Array.from({ length: Math.min(atOnce, count - from) }, (_, nth) => from + nth)
    const people = await Promise.all(
      some.map(async (nth) => {
        const person = createPerson(await signUp(nth), roleOf(nth))
        await giveDevices(person, nth)
        return person
      }),
    )
    ledger.people.push(...people)
  }
  await makeChannels(ledger, random)
  for (const person of ledger.people) await settleDown(ledger, person)
}

/** Groups of all sizes, each with some who write, and conversations of two. The first of the people owns the groups. */
async function makeChannels(ledger: Ledger, random: Random): Promise<void> {
  const { people } = ledger
  const [host] = people as [Person]
  const writers = people.filter((person) => person.role === 'writer')
  const others = people.filter((person) => person !== host)
  for (let nth = 0; nth < Math.round(people.length * 0.6); nth++) {
    // Many small ones and a few large ones; the first has as many as may be, so that everybody is somewhere.
    const size = nth === 0 ? 20 : 3 + Math.floor(random.next() ** 2 * 17)
    const start = nth * 3
    const members = [host, writers[1 + (nth % (writers.length - 1))]!]
    for (let at = 0; at < others.length && members.length < size; at++) {
      const person = others[(start + at) % others.length]!
      if (!members.includes(person)) members.push(person)
    }
    const memberIds = members.slice(1).map((person) => person.id)
    const input = { kind: 'GROUP' as const, name: `room ${nth + 1}`, memberIds }
    const { createChannel } = await host.client.request(CreateChannelDocument, { input })
    addChannel(ledger, { id: createChannel.channel.id, kind: 'GROUP', owner: host, members })
  }
  // Nobody has somebody blocked whom they talk with alone: that would shut the channel.
  const peers = people.filter((person) => person.role !== 'writer' && person.role !== 'blocker')
  for (const [nth, peer] of peers.entries()) {
    const writer = writers[nth % writers.length]!
    const { openDirectChannel } = await writer.client.request(OpenDirectChannelDocument, { userId: peer.id })
    addChannel(ledger, { id: openDirectChannel.channel.id, kind: 'DIRECT', owner: writer, members: [writer, peer] })
  }
}

/** Writers with whom somebody has no channel of two, and who owns none of their channels: they may be blocked. */
export const blockable = (ledger: Ledger, person: Person): Person[] =>
  ledger.people.filter(
    (writer) =>
      writer.role === 'writer' &&
      ![...person.places.keys()].some(
        ({ owner, kind, members }) => owner === writer || (kind === 'DIRECT' && members.includes(writer)),
      ),
  )

/** What the steady ones want, once and for all; nothing has been said yet. */
async function settleDown(ledger: Ledger, person: Person): Promise<void> {
  const { client, role, places } = person
  const always = [-Infinity, -Infinity] as const
  const everywhere = async (input: object, note: (channel: Channel) => void) => {
    for (const channel of places.keys()) {
      await client.request(SetChannelNotificationsDocument, { input: { channelId: channel.id, ...input } })
      note(channel)
    }
  }
  switch (role) {
    case 'muted':
      return everywhere({ mutedUntil: inAnHour() }, (channel) => places.get(channel)!.muted.set(true, ...always))
    case 'none':
      return everywhere({ level: 'NONE' }, (channel) => places.get(channel)!.level.set('NONE', ...always))
    case 'mentions':
      return everywhere({ level: 'MENTIONS' }, (channel) => places.get(channel)!.level.set('MENTIONS', ...always))
    case 'quiet':
      await client.request(UpdateSettingsDocument, { input: quietNow() })
      return person.quiet.set(true, ...always)
    case 'busy':
      await client.request(SetPresenceDocument, { status: 'DO_NOT_DISTURB' })
      return person.busy.set(true, ...always)
    case 'blocker':
      for (const writer of blockable(ledger, person).slice(0, 3)) {
        await client.request(BlockUserDocument, { userId: writer.id })
        const blocked = createTimeline(false)
        blocked.set(true, ...always)
        person.blocks.set(writer, blocked)
      }
  }
}

/** Longer than any run. */
export const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString()

/** Quiet hours that began two hours ago and last for two more. */
export function quietNow() {
  const clock = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16)
  return { timeZone: 'UTC', quietHoursStart: clock(-2), quietHoursEnd: clock(2) }
}
