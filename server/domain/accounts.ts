import { sql } from 'drizzle-orm'
import type { Orm } from '../../drizzle/connection.ts'
import { accountChanges, accounts } from '../../drizzle/tables/index.ts'
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
