import { createHmac } from 'node:crypto'
import {
  ChannelsDocument,
  CreateChannelDocument,
  createMaruClient,
  JoinChannelDocument,
  type MaruClient,
  MaruClientError,
  Session,
} from '../../client-sdk/index.ts'
import { toUsername } from '../domain/users.ts'
import { patiently } from './patience.ts'

/** The people of a talk, signed in, by the names that the talk has for them. */
export type Cast = Map<string, MaruClient>

/** Says at a glance what these people are, and leaves the names themselves to those who want them. */
const prefix = 'demo-'

/** Other demos, with other secrets, may have been here before. */
const maxNamesakes = 20

/**
 * Signs in each of these people, and signs up whom the server does not know. Nobody can guess their passwords, which
 * come from `secret`: with the same one they are found again, with another one they are other people.
 */
export async function assemble(
  url: string,
  secret: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Cast> {
  const cast: Cast = new Map()
  for (const name of names) {
    const session = new Session({ url })
    const passwordOf = (username: string) => password(secret, url, username, name)
    // Servers let only so many people sign in at a time.
    await patiently(['RATE_LIMITED'], () => signIn(session, name, passwordOf), signal)
    cast.set(name, createMaruClient({ url, token: session.token }))
  }
  return cast
}

/** Another one on each server and for each person, so that none is of use anywhere else. */
const password = (secret: string, url: string, username: string, name: string) =>
  createHmac('sha256', secret).update(JSON.stringify([new URL(url).origin, username, name])).digest('base64url')

async function signIn(session: Session, name: string, passwordOf: (username: string) => string): Promise<void> {
  for (let namesake = 1; namesake <= maxNamesakes; namesake++) {
    const username = `${prefix}${toUsername(name)}${namesake === 1 ? '' : `-${namesake}`}`
    const password = passwordOf(username)
    try {
      await session.signIn({ username, password })
      return
    } catch (error) {
      if (!hasCode(error, 'UNAUTHENTICATED')) throw error
    }
    try {
      await session.signUp({ username, password, displayName: name })
      return
    } catch (error) {
      if (!hasCode(error, 'CONFLICT')) throw error
    }
  }
  throw new Error(`There are ${maxNamesakes} people called ${prefix}${name} already.`)
}

const hasCode = (error: unknown, code: string) => error instanceof MaruClientError && error.code === code

/**
 * The public channel of this name in which the cast talks, made by its first member when there is none, with everybody
 * in it. A channel of the same name that is somebody else's is left alone.
 */
export async function openChannel(cast: Cast, name: string, topic: string): Promise<string> {
  const [host, ...others] = [...cast.values()]
  const { channels } = await host!.request(ChannelsDocument, { first: 100 })
  const own = channels.edges.find(({ node }) => node.kind === 'PUBLIC' && node.name === name)?.node
  const input = { kind: 'PUBLIC', name, topic } as const
  const channel = own ?? (await host!.request(CreateChannelDocument, { input })).createChannel.channel
  for (const client of others) await client.request(JoinChannelDocument, { channelId: channel.id })
  return channel.id
}

/** Waits until somebody joins the channel, but no longer than this. */
export async function waitForGuest(cast: Cast, channelId: string, ms: number, signal: AbortSignal): Promise<void> {
  const [host] = [...cast.values()]
  const inbox = host!.inbox({ signal: AbortSignal.any([signal, AbortSignal.timeout(ms)]) })
  for await (const event of inbox) {
    if (event.__typename === 'MembershipEvent' && event.channel.id === channelId && event.member != null) return
  }
}
