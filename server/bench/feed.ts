import type { Database } from '../../drizzle/connection.ts'
import { relayOutbox } from '../../workers/outbox.ts'
import { createFeedService, type FeedService } from '../domain/feed.ts'
import { type FeedPlace, type Followed, readFollowed } from '../domain/feed-sources.ts'
import { feedFloor, writeFeed } from '../domain/feed-writing.ts'
import { createJobQueue } from '../jobs/job-queue.ts'
import { type JobHandlers, jobKinds } from '../jobs/jobs.ts'
import { createMessageStore } from '../message-store/message-store.ts'
import { hashOf } from '../message-store/send.ts'
import { createSnowflakes } from '../message-store/snowflake.ts'
import { type BenchStore, startBenchStore } from './bench-store.ts'
import { fillFeedStore, followedChannels, setMerged, viewer, writeOut } from './feed-data.ts'
import { childrenOf, cpuSeconds } from './live/processes.ts'
import { median, reportTimes, timesInTurns } from './measure.ts'
import type { BenchOptions } from './options.ts'

type Plan = { messages: number; readings: number; sends: number }
const long: Plan = { messages: 1_000_000, readings: 100, sends: 60 }
const short: Plan = { messages: 200_000, readings: 20, sends: 10 }

const pageSize = 50

/** Pages from the first on that are read; the middle of what is written out is further down. */
const deepPage = 10

const tell = (text: string) => process.stdout.write(`${text}\n`)

/**
 * A page of a feed over 1,000 channels that are written out, beside the same merged when it is read; what one more
 * merged channel costs a page, beside what one more member costs a message; and what follows a message to 10 and to
 * 100,000 people.
 */
export async function benchFeed(options: BenchOptions): Promise<void> {
  const plan = options.short ? short : long
  const store = await startBenchStore()
  try {
    await fillFeedStore(store.admin, plan.messages)
    const floor = feedFloor()
    const entries = await writeOut(store.admin, floor)
    const [size] = await store.admin.run<{ bytes: number }>(`select pg_total_relation_size('feed_entries')::int as bytes`, [])
    tell(`${entries.toLocaleString('en')} entries, ${(size!.bytes / entries).toFixed(0)} bytes each with their index`)
    await benchReading(store, plan)
    await benchMerging(store, plan, floor)
    await benchWriting(store, plan)
    await benchSending(store, plan)
  } finally {
    await store.stop()
  }
}

/** The feed as it is, on a database where nothing is written out: each followed channel is read. */
const mergedAll = (database: Database): Database => ({
  ...database,
  async run<Row extends object>(text: string, parameters: readonly unknown[]): Promise<Row[]> {
    if (text.startsWith('/* feed */')) return []
    return text.startsWith('/* followed and merged */')
      ? ((await readFollowed(database, String(parameters[0]))).map(toRaw) as Row[])
      : database.run<Row>(text, parameters)
  },
})

const toRaw = (followed: Followed) => ({
  channel_id: followed.channelId,
  after_seq: followed.afterSeq,
  last_id: followed.lastId,
  after_id: null,
  up_to_id: null,
})

function feedOn(database: Database): FeedService {
  const store = createMessageStore({ database, snowflakes: createSnowflakes(() => 1), announce: () => {} })
  return createFeedService({ database, store })
}

/** Where the nth page begins. */
async function placeOfPage(feed: FeedService, nth: number): Promise<FeedPlace | null> {
  let place: FeedPlace | null = null
  for (let page = 1; page < nth; page++) place = (await feed.page(viewer, pageSize, place)).next
  return place
}

/** All channels in one statement, each asked for a page, as it is done where nobody thinks of anything better. */
const lateral = `select l.id, l.channel_id, l.content from members u join channels c on c.id = u.channel_id
  cross join lateral (
    select m.id, m.seq, m.channel_id, m.content from messages m
    where m.channel_id = u.channel_id and m.id < $2 and m.author_id <> $1
      and m.deleted_at is null and m.kind in ('USER', 'ACTION')
    order by m.id desc limit ${pageSize + 1}
  ) l where u.user_id = $1 and u.left_at is null and l.seq > u.joined_seq order by l.id desc limit ${pageSize + 1}`

async function benchReading({ open }: BenchStore, plan: Plan): Promise<void> {
  const database = open(4)
  const [written, merged] = [feedOn(database), feedOn(mergedAll(database))]
  const deep = await placeOfPage(written, deepPage)
  const old = { id: feedFloor(), channelId: '0' }
  const highest = ((1n << 63n) - 1n).toString()
  const names = {
    first: 'first page, written out',
    firstMerged: 'first page, all merged',
    firstLateral: 'first page, one statement for all',
    deep: `page ${deepPage}, written out`,
    deepMerged: `page ${deepPage}, all merged`,
    deepLateral: `page ${deepPage}, one statement for all`,
    old: 'older than what is kept',
  }
  const readings = {
    [names.first]: () => written.page(viewer, pageSize, null),
    [names.firstMerged]: () => merged.page(viewer, pageSize, null),
    [names.firstLateral]: () => database.run(lateral, [viewer, highest]),
    [names.deep]: () => written.page(viewer, pageSize, deep),
    [names.deepMerged]: () => merged.page(viewer, pageSize, deep),
    [names.deepLateral]: () => database.run(lateral, [viewer, deep!.id]),
    [names.old]: () => written.page(viewer, pageSize, old),
  }
  const times = await timesInTurns(plan.readings, readings)
  const base = (name: string) => (name.startsWith('first') ? names.first : names.deep)
  const title = `A page of ${pageSize} for a follower of ${followedChannels.toLocaleString('en')} channels`
  reportTimes(title, times, base)
  const processor = await processorTimes(plan.readings, readings)
  tell(`\n${title}, ms of processor`)
  for (const [name, figure] of Object.entries(processor)) {
    tell(`  ${name.padEnd(44)} ${figure.toFixed(2).padStart(8)}   ${(figure / processor[base(name)]!).toFixed(2)}`)
  }
}

/** What one more channel that is merged adds to a page. */
async function benchMerging({ open, admin }: BenchStore, plan: Plan, floor: string): Promise<void> {
  const feed = feedOn(open(4))
  const counts = [0, 10, 50, 200, 500]
  const figures: { count: number; first: number; deep: number }[] = []
  for (const count of counts) {
    await setMerged(admin, count, floor)
    const deep = await placeOfPage(feed, deepPage)
    const times = await processorTimes(plan.readings, {
      first: () => feed.page(viewer, pageSize, null),
      deep: () => feed.page(viewer, pageSize, deep),
    })
    figures.push({ count, ...times })
  }
  tell(`\nOf ${followedChannels} channels so many merged, ms of processor for a page`)
  for (const { count, first, deep } of figures) {
    tell(`  ${String(count).padStart(5)}  first page ${first.toFixed(2)}  page ${deepPage} ${deep.toFixed(2)}`)
  }
  const [none, , , many] = figures
  const more = (one: number, other: number) => ((1_000 * (other - one)) / many!.count).toFixed(1)
  tell(`  each adds ${more(none!.first, many!.first)} µs to the first page, ${more(none!.deep, many!.deep)} to page ${deepPage}`)
}

const sizes = [10, 50, 100, 200, 1_000]
const text = 'a line of some length, as people write them all day long'

/** Makes a channel of so many, whose ids are above those of others. */
async function makeChannel(admin: Database, channelId: number, members: number): Promise<void> {
  await admin.run(`insert into channels (id, kind, created_at, member_count) values ($1, 'PUBLIC', now(), $2)`, [channelId, members])
  await admin.run(
    `insert into members (channel_id, user_id, role, joined_at, change)
     select $1, n, 'MEMBER', now(), 0 from generate_series(1, $2::int) n order by random()`,
    [channelId, members],
  )
}

/** What it takes to write one message out, by how many it is for. */
async function benchWriting({ open, admin }: BenchStore, plan: Plan): Promise<void> {
  const database = open(4)
  const messages = createMessageStore({ database, snowflakes: createSnowflakes(() => 1), announce: () => {} })
  tell('\nWriting one message out, ms of processor')
  const figures: [number, number][] = []
  for (const [nth, members] of sizes.entries()) {
    const channelId = String(10_000_000 + nth)
    await makeChannel(admin, Number(channelId), members)
    const times: number[] = []
    for (let sent = 0; sent < plan.sends + 3; sent++) {
      await messages.send(channelId, 0, newSend(sent))
      const before = cpuOfAll()
      await writeFeed(database, { channelId, writtenMembers: Infinity })
      // The first ones make plans.
      if (sent >= 3) times.push(1_000 * (cpuOfAll() - before))
    }
    figures.push([members, median(times)])
    tell(`  ${String(members).padStart(6)} members  ${median(times).toFixed(2)}`)
  }
  const [[few, low], [many, high]] = [figures[0]!, figures.at(-1)!]
  tell(`  each entry adds ${((1_000 * (high - low)) / (many - few)).toFixed(1)} µs`)
}

const newSend = (nth: number) => ({
  authorId: '1',
  kind: 'USER' as const,
  content: `${text} ${nth}`,
  root: null,
  mentionIds: [],
  key: crypto.randomUUID(),
  bodyHash: hashOf(text),
})

/** Time to commit, and processor time of what follows, for a message to few and to very many people. */
async function benchSending({ open, admin }: BenchStore, plan: Plan): Promise<void> {
  const [few, many] = [10, 100_000]
  tell('\nA message to a channel, and what follows for feeds: outbox, jobs, writing')
  const onError = (error: unknown) => tell(String(error))
  const nothing = Object.fromEntries(jobKinds.map((kind) => [kind, async () => {}])) as unknown as JobHandlers
  const ways = [
    { members: few, writtenMembers: 200, what: 'as it is' },
    { members: many, writtenMembers: 200, what: 'as it is' },
    { members: few, writtenMembers: Infinity, what: 'always written out' },
    { members: many, writtenMembers: Infinity, what: 'always written out' },
  ]
  for (const [nth, { members, writtenMembers, what }] of ways.entries()) {
    const channelId = String(20_000_000 + nth)
    await makeChannel(admin, Number(channelId), members)
    const database = open(4)
    const messages = createMessageStore({ database, snowflakes: createSnowflakes(() => 1), announce: () => {} })
    const jobs = createJobQueue({ database: open(3), onError })
    const waiting = { feeds: 0, pushes: 0 }
    await jobs.work({ ...nothing, push: async () => void waiting.pushes++ })
    const writeFeeds = (channelIds: readonly string[]) => {
      for (const written of channelIds) {
        void writeFeed(database, { channelId: written, writtenMembers }).then(() => waiting.feeds++, onError)
      }
    }
    const commits: number[] = []
    const rounds = members === many && writtenMembers === Infinity ? Math.ceil(plan.sends / 6) : plan.sends
    const send = async (sent: number) => {
      const started = performance.now()
      await messages.send(channelId, 0, newSend(sent))
      commits.push(performance.now() - started)
    }
    const follow = async (isTold: boolean) => {
      const before = { ...waiting }
      await relayOutbox(database, jobs, { links: false, feedMembers: writtenMembers, writeFeeds, onError })
      while (waiting.pushes === before.pushes || (isTold && waiting.feeds === before.feeds)) await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const isLarge = members > writtenMembers
    await send(-1)
    // The first job finds the channel too large; from then on there is none.
    await follow(true)
    commits.length = 0
    let seconds = 0
    let walls = 0
    for (let sent = 0; sent < rounds; sent++) {
      await send(sent)
      const [cpu, wall] = [cpuOfAll(), performance.now()]
      await follow(!isLarge)
      seconds += cpuOfAll() - cpu
      walls += performance.now() - wall
    }
    await jobs.close()
    const line = `${String(members).padStart(8)} people, ${what.padEnd(20)}`
    tell(
      `  ${line} commit ${median(commits).toFixed(2)} ms   afterwards ${((1_000 * seconds) / rounds).toFixed(1)} ms of processor,` +
        ` done after ${(walls / rounds).toFixed(1)} ms`,
    )
  }
}

/** Milliseconds of processor that each of several readings takes, here and in the store, in blocks that take turns. */
async function processorTimes<Name extends string>(count: number, readings: Record<Name, () => Promise<unknown>>) {
  const block = 10
  const times = new Map<string, number[]>()
  for (let round = 0; round < Math.max(2, count / block); round++) {
    for (const [name, read] of Object.entries<() => Promise<unknown>>(readings)) {
      const before = cpuOfAll()
      for (let nth = 0; nth < block; nth++) await read()
      times.set(name, [...(times.get(name) ?? []), (1_000 * (cpuOfAll() - before)) / block])
    }
  }
  return Object.fromEntries([...times].map(([name, list]) => [name, median(list)])) as Record<Name, number>
}

/** Of this process and of the store, which is the one that it has started. */
const cpuOfAll = (): number => {
  const all = [process.pid]
  for (let nth = 0; nth < all.length; nth++) all.push(...childrenOf(all[nth]!))
  return cpuSeconds(all)
}
