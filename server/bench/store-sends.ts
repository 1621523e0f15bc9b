import { randomUUID } from 'node:crypto'
import type { Database } from '../../drizzle/connection.ts'
import { createSendBatcher } from '../message-store/batcher.ts'
import { hashOf, type Send, sendBatch } from '../message-store/send.ts'
import { createSnowflakes, snowflakeAt } from '../message-store/snowflake.ts'
import { createRandom } from '../testing/random.ts'
import { type BenchStore, startBenchStore } from './bench-store.ts'
import { inTurns, rateOf, report } from './measure.ts'
import type { BenchOptions } from './options.ts'
import {
  bareTable,
  createPlaces,
  type PlainSend,
  plainSendFunction,
  sendBare,
  sendBareWithTerms,
  sendByFunction,
  sendByStatement,
} from './plain-sends.ts'
import { readSentences } from './sentences.ts'

const seconds = 2
const rounds = 7

/** Channels that only the plain ways write to have numbers from here on. */
const plainChannels = 1_000_000

/** One message in so many mentions somebody. */
const mentionEvery = 10

/** Sends a second into the store, each answered when it is durable, beside the same rows without order or lock. */
export async function benchStoreSends({ data }: BenchOptions): Promise<void> {
  const store = await startBenchStore()
  try {
    const preparations = [
      ...bareTable('bare'),
      ...bareTable('bare_with_terms'),
      'create index on bare_with_terms using gin (terms) with (gin_pending_list_limit = 16384)',
      plainSendFunction,
    ]
    for (const text of preparations) await store.admin.run(text, [])
    const nextSend = createSends(readSentences(data))
    const place = createPlaces()
    await compareWithPlain(store, nextSend, place, 32, 32)
    await compareWithPlain(store, nextSend, place, 64, 5_000)
    for (const writers of [32, 128]) await compareBatches(store, nextSend, writers)
  } finally {
    await store.stop()
  }
}

async function compareWithPlain(
  store: BenchStore,
  nextSend: NextSend,
  place: ReturnType<typeof createPlaces>,
  clients: number,
  channels: number,
): Promise<void> {
  await makeChannels(store.admin, clients, channels)
  const database = store.open(clients)
  const snowflakes = createSnowflakes(() => 1)
  const batcher = createSendBatcher({ database, snowflakes, announce: () => {} })
  const random = createRandom(1)
  /** Each to its own where there are as many, else anywhere. */
  const channelOf = (client: number) => (channels === clients ? client : 1 + random.below(channels))
  const numbers = Array.from({ length: clients }, (_, nth) => nth + 1)
  const rate = (work: (client: number) => Promise<unknown>) => () => rateOf(numbers, seconds, work)
  const plain = (write: (database: Database, send: PlainSend) => Promise<unknown>) =>
    rate((client) => write(database, place(nextSend(client), plainChannels + channelOf(client), snowflakes.next())))
  const names = {
    bare: 'bare INSERT, without terms',
    terms: 'bare INSERT, with terms and their index',
    statement: 'same rows, one statement, no order',
    function: 'same rows, one function, no order',
    store: 'message store',
  }
  const figures = await inTurns(rounds, {
    [names.bare]: plain(sendBare('bare')),
    [names.terms]: plain(sendBareWithTerms('bare_with_terms')),
    [names.statement]: plain(sendByStatement),
    [names.function]: plain(sendByFunction),
    [names.store]: rate((client) => batcher.send(String(channelOf(client)), 0, nextSend(client))),
  })
  const title = `Durable messages a second, ${clients} clients, ${channels.toLocaleString('en')} channels`
  report(title, 'messages/s', figures, names.bare)
  report('The same', 'messages/s', figures, names.function)
}

async function compareBatches(store: BenchStore, nextSend: NextSend, writers: number): Promise<void> {
  await makeChannels(store.admin, writers, 3)
  const database = store.open(writers)
  const snowflakes = createSnowflakes(() => 1)
  const batcher = createSendBatcher({ database, snowflakes, announce: () => {} })
  const numbers = Array.from({ length: writers }, (_, nth) => nth + 1)
  const one = (channel: string, client: number) => sendBatch(database, channel, 0, snowflakes.next(), [nextSend(client)])
  let last: Promise<unknown> = Promise.resolve()
  const names = {
    turns: 'one commit each, one after the other',
    contended: 'one commit each, all at once',
    batches: 'in batches',
  }
  const figures = await inTurns(rounds, {
    [names.turns]: () => rateOf(numbers, seconds, (client) => (last = last.then(() => one('1', client)))),
    [names.contended]: () => rateOf(numbers, seconds, (client) => one('2', client)),
    [names.batches]: () => rateOf(numbers, seconds, (client) => batcher.send('3', 0, nextSend(client))),
  })
  report(`Durable messages a second, ${writers} writers, one channel`, 'messages/s', figures, names.turns)
}

/** Makes the channels from 1 to `channels`, with as many members in each and something said in them this month. */
async function makeChannels(admin: Database, members: number, channels: number): Promise<void> {
  await admin.run(
    `insert into channels (id, kind, name, created_at, member_count, first_seq, last_seq, last_change, last_id)
     select n, 'GROUP', 'bench', now(), $2, 1, 1, 1, $3::bigint from generate_series(1, $1::int) n
     on conflict do nothing`,
    [channels, members, snowflakeAt(Date.now())],
  )
  await admin.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select c, u, 'MEMBER', now(), 0 from generate_series(1, $1::int) c, generate_series(1, $2::int) u
     on conflict do nothing`,
    [channels, members],
  )
  await admin.run('vacuum analyze', [])
}

type NextSend = (client: number) => Send

/** Sends of one line of chat after the other. What the store is handed is made before; keys and hashes are not. */
function createSends(sentences: readonly string[]): NextSend {
  const random = createRandom(2)
  const texts = Array.from({ length: 10_000 }, () => random.pick(sentences))
  let count = 0
  return (client) => {
    const nth = count++ % texts.length
    const content = texts[nth]!
    return {
      authorId: String(client),
      key: randomUUID(),
      bodyHash: hashOf(content),
      kind: 'USER',
      content,
      root: null,
      mentionIds: count % mentionEvery === 0 ? ['1'] : [],
    }
  }
}
