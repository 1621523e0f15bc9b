import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'
import type { Corrupt } from './audience.ts'
import type { Cast, Channel } from './cast.ts'
import { Refused } from './client.ts'
import { type Device, startDevice } from './device.ts'
import { listenToMessages } from './messages-listener.ts'
import type { Selection } from './selections.ts'
import { comesAbout, type Person, type Stage } from './stage.ts'

/** Puts people out of channels, and lets them in again, until it is over. Some are left outside. The first is put out first. */
export async function move(stage: Stage, cast: Cast, random: Random, isOver: () => boolean): Promise<void> {
  const [alice] = cast.writers
  const channels = cast.channels.filter((channel) => channel.hasComers)
  let [channel, comer] = [channels[0]!, cast.comers[0]!]
  for (; !isOver(); [channel, comer] = [random.pick(channels), random.pick(cast.comers)]) {
    await sleep(random.below(1_500))
    const variables = { channelId: channel.id, userId: comer.id }
    if (isIn(channel, comer)) {
      const query = 'mutation($channelId: ID!, $userId: ID!) { removeMember(channelId: $channelId, userId: $userId) { channel { id } } }'
      await stage.ask(alice!, query, variables)
      setIn(channel, comer, false)
      stage.chronicle.count('people put out')
    } else {
      const query = 'mutation($channelId: ID!, $userId: ID!) { addMembers(channelId: $channelId, userIds: [$userId]) { channel { id } } }'
      await stage.ask(alice!, query, variables)
      setIn(channel, comer, true)
      stage.chronicle.count('people let in')
    }
  }
}

export const isIn = (channel: Channel, person: Person): boolean => channel.members.includes(person)

function setIn(channel: Channel, person: Person, isMember: boolean) {
  if (!isMember) channel.members = channel.members.filter((member) => member !== person)
  else if (!isIn(channel, person)) channel.members = [...channel.members, person]
}

/** A session of its own with a device, which is signed out while it listens. */
type Guest = { person: Person; device: Device; isSignedOut: boolean; hasEnded: boolean; endedMs: number | null }

/** From when all is calm; a replica that has missed the news has time for a look at its sockets. Milliseconds. */
const endedWithinMs = 15_000

/** Signs people out in the midst of listening, and sees to it that they hear nothing more. */
export function createGuests(stage: Stage, cast: Cast, selection: Selection, corrupt: Corrupt = () => undefined) {
  const { chronicle } = stage
  const guests: Guest[] = []
  let count = 0

  async function signIn(random: Random): Promise<Guest> {
    const { username } = random.pick(cast.audience)
    const input = { username, password: 'a long password' }
    const query = 'mutation($input: SignInInput!) { signIn(input: $input) { accessToken refreshToken viewer { id } } }'
    const { signIn: session } = await stage.ask(null, query, { input })
    const { accessToken: token, refreshToken, viewer } = session
    const person: Person = { id: viewer.id, username, token, refreshToken }
    const { channel } = await stage.ask(person, 'query($id: ID!) { channel(id: $id) { cursor } }', { id: cast.general.id })
    const name = `guest ${++count}`
    const known = stage.ledger.channel(cast.general.id)
    const listener = listenToMessages({ chronicle, name, channel: known, userId: viewer.id, selection, cursor: channel.cursor })
    const guest: Guest = { person, device: null as unknown as Device, isSignedOut: false, hasEnded: false, endedMs: null }
    let signedOutAt = 0
    const tamper = corrupt({ name, asks: 'messages' })
    guest.device = startDevice(
      {
        name,
        token,
        random,
        isRestless: false,
        ...(tamper && { tamper }),
        listeners: [listener],
        onClosed(code) {
          if (code !== 4403) return 'goOn'
          if (!guest.isSignedOut) signedOutAt = chronicle.now()
          guest.hasEnded = true
          guest.endedMs = chronicle.now() - signedOutAt
          return 'end'
        },
      },
      stage,
    )
    return guest
  }

  return {
    /** Lets one after the other come and be signed out, until it is over. */
    async come(random: Random, isOver: () => boolean): Promise<void> {
      while (!isOver()) {
        const guest = await signIn(random)
        guests.push(guest)
        await sleep(500 + random.below(3_000))
        const { refreshToken } = guest.person
        await stage.ask(null, 'mutation($token: String!) { signOut(refreshToken: $token) }', { token: refreshToken })
        guest.isSignedOut = true
        chronicle.count('sessions ended')
        await sleep(random.below(4_000))
      }
    },

    /** To be called when it has become calm. */
    async verify(): Promise<void> {
      await comesAbout(() => guests.every(({ hasEnded, device }) => hasEnded || stage.isLiedTo(device.name)), endedWithinMs)
      for (const guest of guests.splice(0)) {
        if (!guest.hasEnded) {
          const [listener] = guest.device.listeners
          chronicle.find('session', listener!.trail, 'Signed out, and still listening.', [{ at: guest.device.at()?.name ?? null }])
          await guest.device.stayAway()
          continue
        }
        await refuses(guest)
      }
    },
  }

  /** What is signed out stays so. */
  async function refuses({ person, device }: Guest): Promise<void> {
    try {
      await stage.ask(person, '{ viewer { id } }')
      chronicle.find('session', device.name, 'Signed out, and still answered.')
    } catch (error) {
      if (!(error instanceof Refused && error.code === 'UNAUTHENTICATED')) throw error
    }
  }
}
