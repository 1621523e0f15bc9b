import type { Database } from '../../drizzle/connection.ts'

/** Milliseconds between two messages of a filled channel. */
const apartMs = 1_000

/**
 * Puts `count` messages of one author into an empty channel, one a second up to an hour ago, as if they had been sent.
 * Ids, seqs and change numbers are as the send statement would have given them.
 */
export async function fillChannel(database: Database, channelId: string, authorId: string, count: number): Promise<void> {
  // In pieces, each well below the deadline of a statement.
  const piece = 50_000
  for (let from = 1; from <= count; from += piece) {
    await database.run(
      `insert into messages (channel_id, id, seq, change, version, kind, author_id, content)
       select $1::bigint, ((extract(epoch from now()) - 946684800 - 3600)::bigint * 1000 - ($3::bigint - n) * ${apartMs}) << 22,
              n, c.last_change + n, c.last_change + n, 'USER', $2::bigint, 'message ' || n || ' of a long conversation'
       from channels c, generate_series($4::int, $5::int) n where c.id = $1::bigint`,
      [channelId, authorId, count, from, Math.min(count, from + piece - 1)],
    )
  }
  await database.run(
    `update channels c set first_seq = 1, last_seq = $2, last_change = last_change + $2,
       last_id = (select id from messages m where m.channel_id = c.id and m.seq = $2)
     where c.id = $1`,
    [channelId, count],
  )
}
