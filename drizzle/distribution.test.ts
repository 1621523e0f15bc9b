import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { getTableName, is } from 'drizzle-orm'
import { PgTable } from 'drizzle-orm/pg-core'
import { expect, onTestFinished, test } from 'vitest'
import { unavailable } from '../server/errors.ts'
import { bucketAt, startOf } from '../server/message-store/bucket-time.ts'
import { ensureBuckets } from '../server/message-store/partitions.ts'
import { snowflakeAt } from '../server/message-store/snowflake.ts'
import { createEmptyDatabase, createTestDatabase } from '../server/testing/test-app.ts'
import { openDatabase } from './connection.ts'
import { groups, undistributed, whyNotDistribute } from './distribution.ts'
import { migrate } from './migrate.ts'
import * as tables from './tables/index.ts'

const program = new URL('./distribute.ts', import.meta.url).pathname
const distribute = (databaseUrl: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, [program, ...args], { env: { ...process.env, DATABASE_URL: databaseUrl } }).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
  )

function open(url: string) {
  const database = openDatabase({ url, poolSize: 2, deadlineMs: 60_000, unavailable })
  onTestFinished(() => database.close())
  return database
}

test('of each table it is known where it lies', () => {
  const known = [...groups.flat().map((column) => column.table), ...undistributed].map((table) => getTableName(table))
  const all = Object.values<unknown>(tables).filter((table) => is(table, PgTable)).map((table) => getTableName(table))
  expect(known.toSorted()).toEqual(all.toSorted())
})

test('the command says what it is for, and what it needs', async () => {
  expect(await distribute('', '--help')).toMatchObject({ code: 0, stdout: expect.stringContaining('npm run distribute') })
  expect(await distribute('', '--hepl')).toMatchObject({ code: 2, stderr: expect.stringContaining('--help tells how') })
  expect(await distribute('')).toMatchObject({ code: 2, stderr: expect.stringContaining('DATABASE_URL must name') })
  expect(await distribute('postgres://127.0.0.1:1/none')).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be reached') })
})

test('a store with messages is distributed whole, once, and goes on as one', async () => {
  const url = await createEmptyDatabase()
  const database = open(url)
  await migrate(database)
  const now = bucketAt(Date.now())
  await ensureBuckets(database, now - 2, now)
  const ids = [-2, -1, 0].map((ago) => snowflakeAt(startOf(now + ago)))
  await database.run(
    `insert into messages (channel_id, id, author_id, seq, change, kind, content)
     select channel_id, id, 1, 1, 1, 'USER', 'tea' from generate_series(1, 20) channel_id, unnest($1::bigint[]) id`,
    [ids],
  )
  await database.run(`insert into usernames (key, user_id) select 'person ' || n, n from generate_series(1, 50) n`, [])

  const first = await distribute(url)
  if ((await whyNotDistribute(database)) !== null) {
    // A plain Postgres has nothing to distribute to, and is left as it is.
    expect(first).toMatchObject({ code: 1, stderr: expect.stringMatching(/Citus/) })
    expect(first.stderr).not.toContain(' at ')
    return
  }
  expect(first).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(`Distributed ${groups.flat().length} tables`) })
  expect(await distribute(url)).toMatchObject({ code: 0, stdout: 'Everything is distributed already.\n' })
  expect(await database.run('select count(*)::int as messages from messages', [])).toEqual([{ messages: 60 }])
  expect(await database.run('select count(*)::int as names from usernames', [])).toEqual([{ names: 50 }])
  // Nothing of it is left here, where it would be found by nobody.
  const left = await database.run<{ bytes: string }>(
    `select sum(pg_relation_size(relid)) as bytes from pg_partition_tree('messages')`,
    [],
  )
  expect(left).toEqual([{ bytes: '0' }])
})

test('of a distributed store new months are distributed too, as closely looked at, and so is what migrations make anew', async () => {
  const url = await createTestDatabase()
  const database = open(url)
  const reason = await whyNotDistribute(database)
  if (reason !== null) return expect(reason).toContain('Citus')
  await ensureBuckets(database, 300, 301)
  const partitions = () =>
    database.run<{ name: string; distributed: boolean }>(
      `select relid::text as name, exists (select from pg_dist_partition p where p.logicalrelid = t.relid) as distributed
       from pg_partition_tree('messages') t where isleaf order by 1`,
      [],
    )
  expect(await partitions()).toEqual([
    { name: 'messages_2025_01', distributed: true },
    { name: 'messages_2025_02', distributed: true },
  ])
  const [shards] = await database.run<{ results: string[] }>(
    `select array_agg(distinct result) as results from run_command_on_shards('messages_2025_01', $$
       select attstattarget from pg_attribute where attrelid = '%s'::regclass and attname = 'terms'
     $$)`,
    [],
  )
  expect(shards).toEqual({ results: ['1000'] })

  // As if a later version brought another text of the function, and a table that the store had not.
  await database.run('drop table outbox', [])
  await database.run('create table outbox (channel_id bigint, first_seq int, last_seq int, primary key (channel_id, first_seq))', [])
  await database.run(`drop function send_messages`, [])
  await database.run(`delete from maru_migrations where hash like 'function send_messages %'`, [])
  await migrate(database)
  const [made] = await database.run(
    `select exists (select from pg_dist_partition where logicalrelid = 'outbox'::regclass) as outbox,
            (select distribution_argument_index from pg_catalog.pg_dist_object where objid = 'send_messages'::regproc) as argument`,
    [],
  )
  expect(made).toEqual({ outbox: true, argument: 0 })
})

test('another deployment in the same database is left alone', async () => {
  const [one, other] = await Promise.all([createEmptyDatabase(), createEmptyDatabase()])
  const database = open(other)
  await migrate(database)
  await distribute(one)
  expect(await migrate(database)).toEqual([])
  const citus = (await whyNotDistribute(database)) === null
  if (citus) {
    const rows = await database.run(`select from pg_dist_partition where logicalrelid = to_regclass('channels')`, [])
    expect(rows).toEqual([])
  }
  await database.run(`insert into channels (id, kind, created_at) values (1, 'GROUP', now())`, [])
})
