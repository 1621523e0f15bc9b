import { readFileSync } from 'node:fs'
import type { Random } from '../random.ts'
import type { Person, Stage } from './stage.ts'

/** Who takes part, and where they talk. */
export type Cast = {
  /** Who writes. The first of them owns the channels. */
  writers: Person[]
  /** Who is put out and let in again. */
  comers: Person[]
  /** Who only listens. */
  audience: Person[]
  /** Who comes and goes while others watch. */
  seen: Person[]
  channels: Channel[]
  /** The channel that everybody is in. */
  general: Channel
}

export type Channel = {
  id: string
  kind: 'DIRECT' | 'GROUP' | 'PUBLIC'
  members: Person[]
  /** How much is said in it, beside the others. */
  weight: number
  hasComers: boolean
}

const names = ['alice', 'bob', 'carol', 'dave', '지우', '민준', '하나', '마루']
const comerNames = ['erin', 'frank', 'grace', '서연', '도윤', 'heidi']
const password = 'a long password'

/** Makes everybody and everything. `listeners` is how many there are of those who only listen. */
export async function makeCast(stage: Stage, listeners: number, random: Random): Promise<Cast> {
  const signUp = async (username: string): Promise<Person> => {
    const query = `mutation($input: SignUpInput!) { signUp(input: $input) { accessToken refreshToken viewer { id } } }`
    const { signUp: session } = await stage.ask(null, query, { input: { username, password } })
    return { id: session.viewer.id, username, token: session.accessToken, refreshToken: session.refreshToken }
  }
  const signUpAll = async (usernames: readonly string[]) => {
    const people: Person[] = []
    // Passwords are costly to hash.
    for (let at = 0; at < usernames.length; at += 8) people.push(...(await Promise.all(usernames.slice(at, at + 8).map(signUp))))
    return people
  }
  const numbered = (name: string, count: number) => Array.from({ length: count }, (_, nth) => `${name}.${nth + 1}`)
  const writers = await signUpAll(names)
  const comers = await signUpAll(comerNames)
  const seen = await signUpAll(numbered('visitor', 8))
  const audience = await signUpAll(numbered('reader', listeners))
  const some = (share: number) => audience.filter(() => random.chance(share))

  const make = async (kind: Channel['kind'], name: string | null, people: Person[], weight: number): Promise<Channel> => {
    const [owner, ...others] = people
    const input = { kind, name, memberIds: others.map((person) => person.id) }
    const query = 'mutation($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }'
    const { createChannel } = await stage.ask(owner!, query, { input })
    return { id: createChannel.channel.id, kind, members: people, weight, hasComers: people.includes(comers[0]!) }
  }
  const [alice, bob, carol, dave] = writers as [Person, Person, Person, Person]
  const general = await make('PUBLIC', 'general', [...writers, ...seen, ...audience], 16)
  const channels = [
    general,
    await make('PUBLIC', '수다', [...writers, ...some(0.4)], 5),
    await make('PUBLIC', 'coming and going', [...writers, ...comers, ...some(0.2)], 4),
    await make('GROUP', 'the staff', [...writers, ...comers, ...some(0.15).slice(0, 60)], 4),
    await make('GROUP', 'tea', [...writers.slice(0, 4), ...some(0.1).slice(0, 40)], 2),
    await make('GROUP', null, [alice, bob, carol], 1),
    await make('DIRECT', null, [alice, bob], 1),
    await make('DIRECT', null, [carol, dave], 1),
  ]
  return { writers, comers, audience, seen, channels, general }
}

/** What people say: real talk, in two languages. */
export function readTalk(): string[] {
  const read = (name: string) =>
    readFileSync(new URL(`../../demo/${name}`, import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { text: string }).text)
  return [...read('korean.jsonl'), ...read('ubuntu.jsonl')]
}

/** One of them, those of more weight more often. */
export function pickWeighted<T extends { weight: number }>(items: readonly T[], random: Random): T {
  let left = random.next() * items.reduce((sum, item) => sum + item.weight, 0)
  for (const item of items) {
    left -= item.weight
    if (left < 0) return item
  }
  return items.at(-1)!
}
