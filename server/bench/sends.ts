import postgres from 'postgres'
import { startBenchServer } from './bench-server.ts'
import { inTurns, rateOf, report } from './measure.ts'
import { bareTable } from './plain-sends.ts'

const senders = 32
const seconds = 3
const rounds = 5
const content = 'The quick brown fox jumps over the lazy dog, and then it goes home for tea. 다람쥐 헌 쳇바퀴에 타고파.'

const signUp = 'mutation ($input: SignUpInput!) { signUp(input: $input) { accessToken viewer { id } } }'
const create = 'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }'
const send = 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { id seq } } }'

/** Sends a second through GraphQL, each acknowledged when it is durable, beside bare inserts into the same store. */
export async function benchSends(): Promise<void> {
  const server = await startBenchServer()
  const sql = postgres(server.databaseUrl, { max: senders, onnotice: () => {} })
  try {
    const people: { token: string; id: string; own: string; common: string }[] = []
    for (let n = 0; n < senders; n++) {
      const input = { username: `sender${n}`, password: 'a long password' }
      const { signUp: made } = await server.run<{ signUp: { accessToken: string; viewer: { id: string } } }>(signUp, { input })
      people.push({ token: made.accessToken, id: made.viewer.id, own: '', common: '' })
    }
    const makeChannel = async (token: string, memberIds: string[]) => {
      const made = await server.run<{ createChannel: { channel: { id: string } } }>(
        create,
        { input: { kind: 'GROUP', name: 'bench', memberIds } },
        token,
      )
      return made.createChannel.channel.id
    }
    const everybody = people.map((person) => person.id)
    const common = await makeChannel(people[0]!.token, everybody)
    for (const person of people) Object.assign(person, { common, own: await makeChannel(person.token, everybody) })

    // A channel for each connection, so that nothing waits for anything but the disk.
    for (const text of bareTable('bare')) await sql.unsafe(text)
    let serial = 0n
    const bare = (channel: number) => {
      serial++
      return sql`insert into bare (channel_id, id, seq, change, kind, author_id, content)
                 values (${channel}, ${serial.toString()}, ${Number(serial)}, 1, 'USER', ${channel}, ${content})`
    }
    const to = (channel: 'own' | 'common') => () =>
      rateOf(people, seconds, (person) =>
        server.run(send, { input: { channelId: person[channel], content } }, person.token),
      )
    const connections = people.map((_, n) => n + 1)
    const figures = await inTurns(rounds, {
      [`bare INSERT, ${senders} connections`]: () => rateOf(connections, seconds, bare),
      [`sendMessage, ${senders} senders, ${senders} channels`]: to('own'),
      [`sendMessage, ${senders} senders, one channel`]: to('common'),
    })
    report('Durable messages a second', 'messages/s', figures, `bare INSERT, ${senders} connections`)
  } finally {
    await sql.end()
    await server.stop()
  }
}
