import type { Database } from '../../drizzle/connection.ts'
import { accountChanges } from '../../drizzle/tables/index.ts'
import type { AccountChange } from '../domain/announcer.ts'
import type { Source } from './source.ts'
import { topics } from './topics.ts'

/** A change of an account. An account's stream knows no seqs; the field is there so that all streams are read alike. */
export type AccountItem = AccountChange & { seq: number }

/** What a later release notes, this one passes over: while replicas are replaced both are at work. */
const known: ReadonlySet<string> = new Set(accountChanges.kind.enumValues)

/** The changes of accounts. Only its owner reads an account's stream. */
export const accountSource = (database: Database): Source<AccountItem> => ({
  topic: topics.account,
  decode(payload, reached) {
    const change = JSON.parse(payload) as AccountChange
    if (change.change <= reached) return []
    // The store says how far the stream has come.
    return known.has(change.kind) ? [{ ...change, seq: 0 }] : change.change
  },
  toldAt: (change) => change,
  size: () => 0,
  dismisses: () => false,

  async heads(ids) {
    const rows = await database.run<{ user_id: string; last_change: number }>(
      '/* account heads */ select user_id, last_change from accounts where user_id = any ($1::bigint[])',
      [`{${ids.join(',')}}`],
    )
    const changes = new Map(rows.map((row) => [row.user_id, row.last_change]))
    // An account to which nothing has happened yet has no row.
    return ids.map((id) => ({ id, change: changes.get(id) ?? 0, seq: 0, expiredChange: 0 }))
  },

  async since(id, after, limit) {
    const rows = await database.run<{
      last_change: number
      change: number | null
      kind: AccountChange['kind']
      channel_id: string
    }>(
      `/* account changes */ select a.last_change, c.change, c.kind, c.channel_id from accounts a
       left join lateral (
         select * from account_changes where user_id = $1 and change > $2 order by change limit $3 + 1
       ) c on true
       where a.user_id = $1 order by c.change`,
      [id, after.change, limit],
    )
    const complete = rows.length <= limit
    const page = rows.slice(0, limit)
    const changes = page.flatMap((row): AccountItem[] =>
      row.change === null || !known.has(row.kind!)
        ? []
        : [{ userId: id, change: row.change, seq: 0, kind: row.kind, channelId: row.channel_id }],
    )
    const reached = complete ? rows[0]?.last_change : page.at(-1)!.change
    return { changes, position: { change: Math.max(after.change, reached ?? 0), seq: 0 }, complete, member: true }
  },
})
