import type { Person as TestPerson } from '../../../server/testing/test-app.ts'
import type { TestDevice } from '../testing/providers.ts'
import { createReading, createTimeline, type Reading, type Timeline } from './timeline.ts'

export type Level = 'ALL' | 'MENTIONS' | 'NONE'

/**
 * `writer`s write, `restless` ones change their mind all the time. All others stay as they are from beginning to end:
 * what they must and must not be told of is known to the message.
 */
export type Role = 'writer' | 'restless' | 'plain' | 'muted' | 'none' | 'mentions' | 'quiet' | 'busy' | 'blocker'

export type Person = TestPerson & {
  role: Role
  devices: Device[]
  places: Map<Channel, Place>
  quiet: Timeline<boolean>
  busy: Timeline<boolean>
  blocks: Map<Person, Timeline<boolean>>
}

export type Device = TestDevice & {
  owner: Person
  /** Whose devices of one sign-in show the same. */
  shows: Timeline<Channel | null>
  /** Whether its provider has declared the token dead. */
  dead: Timeline<boolean>
  /** From when on the device was seen to be forgotten; null where it never was. */
  forgottenBy: number | null
}

export type Channel = { id: string; kind: 'GROUP' | 'DIRECT'; owner: Person; members: Person[] }

/** Somebody in a channel. */
export type Place = { member: Timeline<boolean>; muted: Timeline<boolean>; level: Timeline<Level>; read: Reading }

/** A message that was acknowledged. */
export type Message = {
  channel: Channel
  seq: number
  id: string
  author: Person
  named: readonly Person[]
  /** When it was first asked for that it be sent, and when it was acknowledged. */
  asked: number
  answered: number
  deleted: Timeline<boolean>
}

/** A worker process was ended or frozen, from when to when. */
export type Blow = { how: 'killed' | 'ended' | 'frozen'; who: string; from: number; to: number }

/** A provider was told to take the next notice and say nothing of it. */
export type LostAnswer = { platform: TestDevice['platform']; at: number }

/** Everything that was done, in the order in which it was asked for and answered. */
export type Ledger = {
  people: Person[]
  channels: Channel[]
  messages: Message[]
  blows: Blow[]
  lost: LostAnswer[]
}

export const createLedger = (): Ledger => ({ people: [], channels: [], messages: [], blows: [], lost: [] })

export const createPerson = (person: TestPerson, role: Role): Person => ({
  ...person,
  role,
  devices: [],
  places: new Map(),
  quiet: createTimeline(false),
  busy: createTimeline(false),
  blocks: new Map(),
})

export const createDevice = (device: TestDevice, owner: Person, shows: Device['shows']): Device => ({
  ...device,
  owner,
  shows,
  dead: createTimeline(false),
  forgottenBy: null,
})

export function addChannel(ledger: Ledger, channel: Channel): void {
  ledger.channels.push(channel)
  for (const person of channel.members) {
    person.places.set(channel, {
      member: createTimeline(true),
      muted: createTimeline(false),
      level: createTimeline<Level>('ALL'),
      read: createReading(),
    })
  }
}

/** What a message is known by, on whichever side: a channel's id and a seq. */
export const keyOf = (channelId: string, seq: number | string): string => `${channelId} ${seq}`
