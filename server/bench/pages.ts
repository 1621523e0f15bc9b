import { openDatabase } from '../../drizzle/connection.ts'
import { unavailable } from '../errors.ts'
import { parseGlobalId } from '../lib/global-id.ts'
import { changesSince } from '../message-store/changes.ts'
import { fillChannel } from '../testing/fill-channel.ts'
import { startBenchServer } from './bench-server.ts'
import { inTurns, median, report } from './measure.ts'

const messages = 1_000_000
const rounds = 5
const readings = 100

const page = `query ($id: ID!, $first: Int, $last: Int, $aroundSeq: Int) {
  channel(id: $id) { messages(first: $first, last: $last, aroundSeq: $aroundSeq) {
    edges { node { id seq author { username } content createdAt reactions { emoji count } } } } } }`

/** A page of 50 at the newest end, in the middle and at the oldest end of a long channel, and a short catch-up there. */
export async function benchPages(): Promise<void> {
  const server = await startBenchServer()
  const database = openDatabase({ url: server.databaseUrl, poolSize: 2, unavailable })
  try {
    const { signUp } = await server.run<{ signUp: { accessToken: string; viewer: { id: string } } }>(
      'mutation { signUp(input: { username: "alice", password: "a long password" }) { accessToken viewer { id } } }',
    )
    const makeChannel = async () => {
      const { createChannel } = await server.run<{ createChannel: { channel: { id: string } } }>(
        'mutation { createChannel(input: { kind: GROUP, name: "long" }) { channel { id } } }',
        {},
        signUp.accessToken,
      )
      return createChannel.channel.id
    }
    const [long, short] = [await makeChannel(), await makeChannel()]
    const raw = (id: string) => {
      const parsed = parseGlobalId(id)!
      if (parsed.type === 'User') return parsed.userId
      if (parsed.type === 'Channel') return parsed.channelId
      throw new Error(`${id} is neither a user nor a channel`)
    }
    await fillChannel(database, raw(long), raw(signUp.viewer.id), messages)
    await fillChannel(database, raw(short), raw(signUp.viewer.id), 100)
    await database.run('analyze messages', [])

    const timeOf = async (work: () => Promise<unknown>) => {
      const times: number[] = []
      for (let reading = 0; reading < readings; reading++) {
        const started = performance.now()
        await work()
        times.push(performance.now() - started)
      }
      return median(times)
    }
    const reading = (id: string, where: object) => () =>
      timeOf(() => server.run(page, { id, ...where }, signUp.accessToken))
    const long50 = (place: string) => `page of 50, ${messages.toLocaleString('en')} messages, ${place}`
    const figures = await inTurns(rounds, {
      'page of 50, 100 messages, newest': reading(short, { last: 50 }),
      [long50('newest')]: reading(long, { last: 50 }),
      [long50('middle')]: reading(long, { aroundSeq: messages / 2 }),
      [long50('oldest')]: reading(long, { first: 50 }),
    })
    report('A page of history through GraphQL', 'ms', figures, 'page of 50, 100 messages, newest')

    const after = (id: string) => async () => {
      const [head] = await database.run<{ last_change: number; last_seq: number }>(
        'select last_change, last_seq from channels where id = $1',
        [raw(id)],
      )
      const position = { change: head!.last_change - 5, seq: head!.last_seq - 5 }
      return timeOf(() => changesSince(database, raw(id), position, 100, raw(signUp.viewer.id)))
    }
    const caughtUp = await inTurns(rounds, {
      'five changes of 100': after(short),
      [`five changes of ${messages.toLocaleString('en')}`]: after(long),
    })
    report('Catching up from the store', 'ms', caughtUp, 'five changes of 100')
  } finally {
    await database.close()
    await server.stop()
  }
}
