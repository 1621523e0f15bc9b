import postgres from 'postgres'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { isDistributed } from '../../drizzle/distribution.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { type Append, appendBatch } from '../message-store/append.ts'
import { bucketOf } from '../message-store/bucket-time.ts'
import type { Change } from '../message-store/changes.ts'
import { createMessageStore, type MessageStore } from '../message-store/message-store.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import type { MemberRow, MessageRow } from '../message-store/rows.ts'
import { hashOf, type Send } from '../message-store/send.ts'
import { createSnowflakes } from '../message-store/snowflake.ts'
import { leaseWorker, type WorkerLease } from '../message-store/worker-lease.ts'
import { makeChannel } from './old-messages.ts'
import { createTestDatabase } from './test-app.ts'

/** People, by their ids: the store asks for no more. */
export const [alice, bob, carol] = ['1', '2', '3'] as const

/** What one process has of a store: connections, a clock, a worker number and the door to the messages. */
export type Process = {
  store: MessageStore
  database: Database
  lease: WorkerLease
  /** What its sends have announced, in the order in which they did. */
  announced: Change[]
  /** What its sessions bear, so that they can be told from those of others. */
  name: string
  close(): Promise<void>
}

export type ProcessOptions = {
  /** Minutes by which its clock is wrong. */
  minutesOff?: number
  /** How long its statements may take, in milliseconds. */
  deadlineMs?: number
  /** Called with what sends changed, beside its being noted. */
  onAnnounce?: (changes: Change[]) => void
}

/** A store of its own, two processes on it, and somebody who looks at it from outside. */
export type TwoStores = {
  url: string
  outside: Database
  here: Process
  there: Process
  /** One more process, which is closed together with the others if it is not closed before. */
  open(options?: ProcessOptions): Promise<Process>
  /** A channel without a word, of alice, bob and carol. */
  newChannel(): Promise<string>
  /** Holds a channel's row as a slow transaction would, until it is let go. */
  hold(channelId: string): Promise<() => Promise<void>>
  /**
   * Kills the connections of a process, on whatever they are at work; 'far' kills those that its store has with the
   * machines of a cluster on its behalf, where there are any. Returns how many there were.
   */
  kill(process: Process, where?: 'near' | 'far'): Promise<number>
  close(): Promise<void>
}

/** Opens two processes, whose clocks are six minutes apart, on an empty store of whatever engine the tests run on. */
export async function openTwoStores(): Promise<TwoStores> {
  const url = await createTestDatabase()
  const outside = openDatabase({ url, poolSize: 4, deadlineMs: 60_000, unavailable })
  await migrate(outside)
  await ensureBuckets(outside)
  const processes: Process[] = []
  const schema = new URL(url).searchParams.get('search_path')!
  let names = 0
  let channels = 0

  async function open({ minutesOff = 0, deadlineMs, onAnnounce = () => {} }: ProcessOptions = {}): Promise<Process> {
    const name = `${schema}_${++names}`
    const own = new URL(url)
    own.searchParams.set('application_name', name)
    const database = openDatabase({ url: own.href, poolSize: 8, unavailable, ...(deadlineMs === undefined ? {} : { deadlineMs }) })
    const lease = await leaseWorker(database, () => {})
    const announced: Change[] = []
    const store = createMessageStore({
      database,
      snowflakes: createSnowflakes(lease.worker, () => Date.now() + minutesOff * 60_000),
      announce(changes) {
        announced.push(...changes)
        onAnnounce(changes)
      },
    })
    let isOpen = true
    const process: Process = {
      store, database, lease, announced, name,
      async close() {
        if (!isOpen) return
        isOpen = false
        await store.drain()
        await lease.release()
        await database.close()
      },
    }
    processes.push(process)
    return process
  }

  return {
    url, outside, open,
    here: await open({ minutesOff: -3 }),
    there: await open({ minutesOff: 3 }),
    async newChannel() {
      const channelId = String(++channels)
      await makeChannel(outside, channelId, [alice, bob, carol])
      return channelId
    },
    async hold(channelId) {
      const sql = postgres(url, { max: 1, onnotice: () => {} })
      await sql.unsafe('begin')
      await sql.unsafe('select from channels where id = $1 for no key update', [channelId])
      return async () => {
        await sql.unsafe('commit')
        await sql.end()
      }
    },
    async kill({ name }, where = 'near') {
      if (where === 'far' && (await isDistributed(outside))) return killFar(outside, name)
      const killed = await outside.run('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [name])
      return killed.length
    },
    async close() {
      for (const process of processes) await process.close()
      await outside.close()
    },
  }
}

/** Kills the sessions on the workers of Citus that those of this name have there, by the number that Citus gives them. */
async function killFar(outside: Database, name: string): Promise<number> {
  const sessions = await outside.run<{ name: string }>(
    `select 'citus_internal gpid=' || citus_calculate_gpid(citus_nodeid_for_gpid(citus_backend_gpid()), pid) as name
     from pg_stat_activity where application_name = $1`,
    [name],
  )
  const names = ['', ...sessions.map((session) => session.name)].map((each) => `'${each}'`)
  const killed = await outside.run<{ result: string }>('select result from run_command_on_workers($1)', [
    `select count(pg_terminate_backend(pid)) from pg_stat_activity
     where usename = current_user and application_name in (${names.join(', ')})`,
  ])
  return killed.reduce((sum, { result }) => sum + Number(result), 0)
}

let keys = 0

/** A message on its way, with a key of its own. */
export const sendOf = (authorId: string, content: string, more: Partial<Send> = {}): Send => ({
  authorId,
  key: `key ${++keys}`,
  bodyHash: hashOf(more.content ?? content),
  kind: 'USER',
  content,
  root: null,
  mentionIds: [],
  ...more,
})

/** Sends something, under the membership version of a channel whose rights have not moved; throws unless it is stored. */
export async function say(
  { store }: Process,
  channelId: string,
  authorId: string,
  content: string,
  more: Partial<Send> = {},
): Promise<MessageRow> {
  const outcome = await store.send(channelId, 0, sendOf(authorId, content, more))
  if (outcome === 'moved' || outcome.outcome !== 'sent') throw new Error(`Not sent: ${JSON.stringify(outcome)}`)
  return outcome.message
}

/** Says what a message is to say from now on. */
export async function edit({ store }: Process, { channelId, id }: MessageRow, content: string): Promise<Change[]> {
  const done = await store.change(channelId, (channel) => channel.touchMessage(id, 'EDITED', { content, editedAt: new Date() }))
  return done!.changes
}

/** Deletes a message, so that what it said is gone. */
export async function erase({ store }: Process, { channelId, id }: MessageRow): Promise<Change[]> {
  const gone = { content: '', mentionIds: [], deletedAt: new Date(), pinnedAt: null }
  const done = await store.change(channelId, (channel) => channel.touchMessage(id, 'DELETED', gone))
  return done!.changes
}

/** Has the system say something, in alice's name. */
export async function announceName({ store }: Process, channelId: string, name: string): Promise<Change[]> {
  const done = await store.change(channelId, async (channel) => {
    channel.setInfo({ name })
    await channel.append('CHANNEL_UPDATED', alice, name)
  })
  return done!.changes
}

/** Gives somebody another role, which moves the channel's rights. */
export async function promote({ store }: Process, channelId: string, userId: string, role: MemberRow['role'] = 'ADMIN') {
  const done = await store.change(channelId, (channel) => channel.setRole(userId, role))
  return done!.changes
}

/** Writes alice's messages of old months into a channel, as an import does. They are told by their ids. */
export async function appendOld(
  database: Database,
  channelId: string,
  messages: readonly (Pick<Append, 'id' | 'content'> & Partial<Append>)[],
): Promise<void> {
  for (const bucket of new Set(messages.map(({ id }) => bucketOf(id)))) await ensureBuckets(database, bucket, bucket)
  const batch = messages.map((message): Append => ({
    kind: 'USER', authorId: alice, replyToId: null, mentionIds: [], deletedAt: null, ...message,
  }))
  const appended = await database.transaction((tx) => appendBatch(tx, channelId, batch as [Append, ...Append[]]))
  if (appended === null) throw new Error('The channel holds something newer')
}
