import { afterEach, beforeEach, expect, test } from 'vitest'
import { createEmptyDatabase } from '../server/testing/test-app.ts'
import { type Database, openDatabase } from './connection.ts'
import { migrate } from './migrate.ts'

let database: Database
beforeEach(async () => {
  database = openDatabase({ url: await createEmptyDatabase(), poolSize: 1, unavailable: () => new Error('away') })
  await migrate(database)
})
afterEach(() => database.close())

const ofOlderBuild = `create function send_message(
  in_channel_id bigint, in_membership_version integer, proposed_id bigint, clock_slack_ms bigint, in_key_hash uuid,
  in_body_hash uuid, in_author_id bigint, in_kind text, in_content text, in_mention_ids bigint[], in_terms integer[]
) returns bigint[] language sql as $$ select array[7]::bigint[] $$`

const signatures = async () => {
  const rows = await database.run<{ count: number }>(
    `select pronargs::int as count from pg_proc where proname = 'send_message' and pronamespace = current_schema()::regnamespace`,
    [],
  )
  return rows.map(({ count }) => count)
}

test('a function with other parameters takes the place of the one before, and whoever still calls that one finds it', async () => {
  await database.run(
    `drop function send_message(bigint, integer, bigint, bigint, uuid, uuid, bigint, text, text, bigint[], integer[], bigint[])`,
    [],
  )
  await database.run(ofOlderBuild, [])
  await database.run(`update maru_migrations set hash = 'function send_message 1 abc' where hash like 'function send\\_message %'`, [])
  // On one connection, which keeps what it has prepared.
  const send = (membershipVersion: number) =>
    database.run<{ numbers: string[] | null }>(
      `select send_message($1, $2, 1, 5000, gen_random_uuid(), gen_random_uuid(), 5, 'USER', 'hi', $3::bigint[], $4::int[]) as numbers`,
      [11, membershipVersion, null, null],
    )
  expect(await send(0)).toEqual([{ numbers: ['7'] }])
  await migrate(database)
  expect(await signatures()).toEqual([12])
  // There is no such channel, as the function itself says.
  expect(await send(0)).toEqual([{ numbers: null }])
  await migrate(database)
  expect(await signatures()).toEqual([12])
})
