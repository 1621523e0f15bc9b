/*
 * Version 2.
 *
 * Writes sends to one channel as one transaction, all or nothing. Sends stand at the same place of each array;
 * `mention_lists`, `term_lists` and `attachment_lists` hold array literals or null, `root_ids` what a send answers, or null.
 *
 * Why a function: each step is one row of one table, which the planner has dealt with once for good, and where tables
 * are spread over machines by channel the whole of it runs where the channel is. As one statement it was three times
 * slower on one machine, and fourteen round trips on several.
 *
 * The order of the steps is what keeps it right under contention:
 *
 * 1. The channel's row is locked, unless who may do what here has moved since the writer looked: then no row comes back.
 * 2. Ids begin near the store's clock, whatever the writer's clock says, and after the channel's newest.
 * 3. A key that is taken writes nothing and uses nothing up: seqs, changes and ids have no holes.
 * 4. Only then the channel moves on, by exactly what was written.
 *
 * Gives a row for each message that is new, with its place, and one for each older message that was answered, without a
 * place and as it is now. Where nothing is new there is one row that says so, with neither place nor id.
 *
 * `attachment_lists` came later: an older build, which does not know it, goes on sending without. So that the columns
 * stay the same, which such a build has prepared for, what an answered message has attached is the last part of
 * `touched`, as text, for JSON's numbers would be cut.
 */
CREATE OR REPLACE FUNCTION send_messages(
  in_channel_id bigint,
  in_membership_version integer,
  proposed_id bigint,
  clock_slack_ms bigint,
  key_hashes uuid[],
  body_hashes uuid[],
  author_ids bigint[],
  kinds text[],
  contents text[],
  root_ids bigint[],
  root_author_ids bigint[],
  root_seqs integer[],
  mention_lists text[],
  term_lists text[],
  attachment_lists text[] DEFAULT NULL
) RETURNS TABLE (
  place integer, head_seq integer, id bigint, seq integer, change integer, author_id bigint, reply_to_id bigint,
  kind text, content text, mention_ids bigint[], edited_at timestamptz, deleted_at timestamptz,
  touched json
)
LANGUAGE plpgsql
-- On another machine nobody would say which schema is meant.
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
  old_first_seq integer;
  old_seq integer;
  old_change integer;
  old_id bigint;
  clock bigint;
  next_id bigint;
  new_id bigint;
  new_count integer := 0;
  touched_count integer := 0;
  new_places integer[] := '{}';
  one bigint;
  one_count integer;
  one_change integer;
  one_pinned_at timestamptz;
  first_bucket integer;
  is_empty boolean;
BEGIN
  SELECT c.first_seq, c.last_seq, c.last_change, c.last_id,
         (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 946684800000
    INTO old_first_seq, old_seq, old_change, old_id, clock
    FROM channels c
    WHERE c.id = in_channel_id AND c.membership_version = in_membership_version
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  -- Who made the proposal stays in it, so that two with wrong clocks do not come to propose the same.
  next_id := greatest(
    least(greatest(proposed_id >> 22, clock - clock_slack_ms), clock + clock_slack_ms) << 22 | (proposed_id & 4194303),
    old_id + 1
  );

  -- Each message's place in the batch is its place among the ids, which have holes where a key is taken; seqs have none.
  WITH won AS (
    INSERT INTO send_keys (channel_id, key_hash, message_id, body_hash)
      SELECT in_channel_id, s.key_hash, next_id + s.n - 1, s.body_hash
      FROM unnest(key_hashes, body_hashes) WITH ORDINALITY AS s (key_hash, body_hash, n)
      ON CONFLICT DO NOTHING
      RETURNING message_id
  )
  SELECT coalesce(array_agg((won.message_id - next_id)::integer + 1 ORDER BY won.message_id), '{}')
    INTO new_places FROM won;
  new_count := cardinality(new_places);
  IF new_count = 0 THEN
    RETURN NEXT;
    RETURN;
  END IF;
  new_id := next_id + new_places[new_count] - 1;
  INSERT INTO messages (channel_id, id, author_id, reply_to_id, seq, change, kind, content, mention_ids, terms,
                        attachment_ids)
    SELECT in_channel_id, next_id + s.n - 1, s.author_id, s.root_id, old_seq + p.nth, old_change + p.nth, s.kind, s.content,
           s.mentions::bigint[], s.terms::integer[], s.attachments::bigint[]
    FROM unnest(author_ids, root_ids, kinds, contents, mention_lists, term_lists, attachment_lists)
           WITH ORDINALITY AS s (author_id, root_id, kind, content, mentions, terms, attachments, n)
    JOIN unnest(new_places) WITH ORDINALITY AS p (n, nth) ON p.n = s.n;
  IF array_length(array_remove(mention_lists, NULL), 1) > 0 THEN
    INSERT INTO mentions (channel_id, user_id, seq, message_id)
      SELECT in_channel_id, mentioned.id, old_seq + p.nth, next_id + p.n - 1
      FROM unnest(new_places) WITH ORDINALITY AS p (n, nth), unnest(mention_lists[p.n]::bigint[]) AS mentioned (id);
  END IF;
  RETURN QUERY
    SELECT p.n, NULL::integer, next_id + p.n - 1, old_seq + p.nth::integer, old_change + p.nth::integer, NULL::bigint,
           NULL::bigint, NULL, NULL, NULL::bigint[], NULL::timestamptz, NULL::timestamptz, NULL::json
    FROM unnest(new_places) WITH ORDINALITY AS p (n, nth);

  -- Its authors have read the channel up to what they wrote.
  UPDATE members m SET last_read_seq = greatest(m.last_read_seq, own.last_seq)
    FROM (
      SELECT author_ids[p.n] AS author_id, old_seq + max(p.nth)::integer AS last_seq
      FROM unnest(new_places) WITH ORDINALITY AS p (n, nth) GROUP BY 1
    ) own
    WHERE m.channel_id = in_channel_id AND m.user_id = own.author_id;

  -- The messages that were answered count their replies, which is a change of theirs, after what is new.
  IF array_length(array_remove(root_ids, NULL), 1) > 0 THEN
    FOR one, one_count IN
      SELECT root_ids[p.n], count(*)::integer FROM unnest(new_places) AS p (n)
        WHERE root_ids[p.n] IS NOT NULL GROUP BY 1 ORDER BY 1
    LOOP
      touched_count := touched_count + 1;
      one_change := old_change + new_count + touched_count;
      INSERT INTO message_changes AS t (channel_id, message_id, change, kind, reply_count)
        VALUES (in_channel_id, one, one_change, 'ENRICHED', one_count)
        ON CONFLICT (channel_id, message_id)
        DO UPDATE SET change = excluded.change, kind = excluded.kind, reply_count = t.reply_count + excluded.reply_count
        RETURNING t.reply_count, t.pinned_at INTO one_count, one_pinned_at;
      SELECT m.id, m.seq, m.change, m.author_id, m.reply_to_id, m.kind, m.content, m.mention_ids, m.edited_at, m.deleted_at,
             json_build_array(one_change, one_count, one_pinned_at, m.attachment_ids::text[])
        INTO id, seq, change, author_id, reply_to_id, kind, content, mention_ids, edited_at, deleted_at, touched
        FROM messages m WHERE m.channel_id = in_channel_id AND m.id = one;
      head_seq := old_seq + new_count;
      RETURN NEXT;
    END LOOP;
    FOR n IN 1 .. new_count LOOP
      one := root_ids[new_places[n]];
      CONTINUE WHEN one IS NULL;
      INSERT INTO replies (channel_id, root_id, seq, message_id)
        VALUES (in_channel_id, one, old_seq + n, next_id + new_places[n] - 1);
      -- Who is answered follows, and who answers.
      INSERT INTO threads (channel_id, message_id, user_id, last_read_seq)
        VALUES (in_channel_id, one, root_author_ids[new_places[n]], root_seqs[new_places[n]])
        ON CONFLICT DO NOTHING;
      INSERT INTO threads AS t (channel_id, message_id, user_id, last_read_seq)
        VALUES (in_channel_id, one, author_ids[new_places[n]], old_seq + n)
        ON CONFLICT (channel_id, message_id, user_id)
        DO UPDATE SET last_read_seq = greatest(t.last_read_seq, excluded.last_read_seq);
    END LOOP;
  END IF;

  -- The channel's first message of a month is what its history is found by. Days are asked first, as a month begins
  -- with one of them and they cost nothing.
  is_empty := old_seq = 0 OR old_seq < old_first_seq;
  IF is_empty OR (new_id >> 22) / 86400000 > (old_id >> 22) / 86400000 THEN
    first_bucket := message_bucket(old_id);
    FOR n IN 1 .. new_count LOOP
      CONTINUE WHEN (NOT is_empty OR n > 1) AND message_bucket(next_id + new_places[n] - 1) = first_bucket;
      first_bucket := message_bucket(next_id + new_places[n] - 1);
      INSERT INTO channel_buckets (channel_id, first_seq, first_change, bucket)
        VALUES (in_channel_id, old_seq + n, old_change + n, first_bucket);
    END LOOP;
  END IF;

  INSERT INTO outbox (channel_id, first_seq, last_seq) VALUES (in_channel_id, old_seq + 1, old_seq + new_count);
  UPDATE channels c
    SET last_seq = old_seq + new_count,
        last_change = old_change + new_count + touched_count,
        last_id = new_id,
        first_seq = CASE WHEN old_first_seq = 0 THEN old_seq + 1 ELSE old_first_seq END
    WHERE c.id = in_channel_id;
END $$;
