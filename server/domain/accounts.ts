import { sql } from 'drizzle-orm'
import type { Orm, Transaction } from '../../drizzle/connection.ts'
import { accountChanges, accounts } from '../../drizzle/tables/index.ts'
import { compareSnowflakes } from '../message-store/snowflake.ts'
import type { AccountChange } from './announcer.ts'

/**
 * Notes in these accounts' streams that something of `kind` moved, within the transaction that moves it; returns what
 * is to be announced after the commit. Accounts are taken in order, so that two transactions never wait for each other.
 */
export async function touchAccounts(
  orm: Orm,
  userIds: readonly string[],
  kind: AccountChange['kind'],
  channelId: string,
): Promise<AccountChange[]> {
  const noted: AccountChange[] = []
  const inOrder = userIds.toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
  if (inOrder.length === 0) return noted
  const numbered = await orm
    .insert(accounts)
    .values(inOrder.map((userId) => ({ userId, lastChange: 1 })))
    .onConflictDoUpdate({ target: accounts.userId, set: { lastChange: sql`${accounts.lastChange} + 1` } })
    .returning()
  for (const { userId, lastChange: change } of numbered) noted.push({ userId, change, kind, channelId })
  await orm
    .insert(accountChanges)
    .values(noted)
    .onConflictDoUpdate({
      target: [accountChanges.userId, accountChanges.kind, accountChanges.channelId],
      set: { change: sql`excluded.change` },
    })
  return noted
}

/**
 * Takes so many of each account's next changes, and with them the accounts until the transaction ends; returns the last
 * of each. In the order of ids, as everywhere. Those that are not used are no changes, and nobody misses them.
 */
export async function takeChanges(
  { run }: Pick<Transaction, 'run'>,
  counts: ReadonlyMap<string, number>,
): Promise<Map<string, number>> {
  const inOrder = [...counts].toSorted(([a], [b]) => compareSnowflakes(a, b))
  const rows = await run<{ user_id: string; last_change: number }>(
    `/* take changes */ insert into accounts as a (user_id, last_change)
     select * from unnest($1::bigint[], $2::int[])
     on conflict (user_id) do update set last_change = a.last_change + excluded.last_change
     returning user_id, last_change`,
    [inOrder.map(([userId]) => userId), inOrder.map(([, count]) => count)],
  )
  return new Map(rows.map((row) => [row.user_id, row.last_change]))
}

/** Notes changes whose numbers were taken, each thing at most once. They are to be announced after the commit. */
export async function noteChanges({ run }: Pick<Transaction, 'run'>, changes: readonly AccountChange[]): Promise<void> {
  if (changes.length === 0) return
  await run(
    `/* note changes */ insert into account_changes as c (user_id, kind, channel_id, change)
     select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::int[])
     on conflict (user_id, kind, channel_id) do update set change = excluded.change`,
    [
      changes.map(({ userId }) => userId),
      changes.map(({ kind }) => kind),
      changes.map(({ channelId }) => channelId),
      changes.map(({ change }) => change),
    ],
  )
}
