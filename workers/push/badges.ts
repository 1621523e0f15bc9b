import type { Database } from '../../drizzle/connection.ts'

/**
 * The number on each user's icon: what is unread in their channels, as far as they want to be told of it. Of channels
 * that they hear only mentions of, those count; of what is muted, nothing. One statement, which asks each machine about
 * the channels that it holds.
 */
export async function findBadges(
  database: Pick<Database, 'run'>,
  userIds: readonly string[],
): Promise<Map<string, number>> {
  if (userIds.length === 0) return new Map()
  const rows = await database.run<{ user_id: string; unread: number }>(
    `/* badges */ select m.user_id, sum(case m.notification_level
         when 'ALL' then c.last_seq - m.last_read_seq
         else (
           select count(*) from mentions t
           where t.channel_id = m.channel_id and t.user_id = m.user_id and t.seq > m.last_read_seq
         )
       end)::int as unread
     from members m join channels c on c.id = m.channel_id
     where m.user_id = any ($1::bigint[]) and m.left_at is null and m.notification_level <> 'NONE'
       and c.last_seq > m.last_read_seq and (m.muted_until is null or m.muted_until < $2::timestamptz)
     group by m.user_id`,
    [[...new Set(userIds)], new Date().toISOString()],
  )
  return new Map(rows.map((row) => [row.user_id, row.unread]))
}
