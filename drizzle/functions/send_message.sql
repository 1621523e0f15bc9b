/*
 * Version 2.
 *
 * Writes one send that answers nothing: what `send_messages` does for a batch, by the same steps, for the same reasons.
 * It stands by itself because nearly all sends of a quiet channel are such, and what the batch has to reckon with
 * (arrays, loops, answers) made up more than a quarter of their time.
 *
 * Gives the id, seq and change of the new message; an empty array where the key is taken; null where who may do what
 * has moved since the writer looked.
 *
 * `in_attachment_ids` came later: an older build, which does not know it, goes on sending without.
 */
CREATE OR REPLACE FUNCTION send_message(
  in_channel_id bigint,
  in_membership_version integer,
  proposed_id bigint,
  clock_slack_ms bigint,
  in_key_hash uuid,
  in_body_hash uuid,
  in_author_id bigint,
  in_kind text,
  in_content text,
  in_mention_ids bigint[],
  in_terms integer[],
  in_attachment_ids bigint[] DEFAULT NULL
) RETURNS bigint[]
LANGUAGE plpgsql
-- On another machine nobody would say which schema is meant.
SET search_path FROM CURRENT
AS $$
DECLARE
  old_first_seq integer;
  old_seq integer;
  old_change integer;
  old_id bigint;
  clock bigint;
  next_id bigint;
  mentioned_id bigint;
BEGIN
  SELECT c.first_seq, c.last_seq, c.last_change, c.last_id,
         (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 946684800000
    INTO old_first_seq, old_seq, old_change, old_id, clock
    FROM channels c
    WHERE c.id = in_channel_id AND c.membership_version = in_membership_version
    FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  next_id := greatest(
    least(greatest(proposed_id >> 22, clock - clock_slack_ms), clock + clock_slack_ms) << 22 | (proposed_id & 4194303),
    old_id + 1
  );

  INSERT INTO send_keys (channel_id, key_hash, message_id, body_hash)
    VALUES (in_channel_id, in_key_hash, next_id, in_body_hash)
    ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RETURN '{}'::bigint[];
  END IF;
  INSERT INTO messages (channel_id, id, author_id, seq, change, kind, content, mention_ids, terms, attachment_ids)
    VALUES (in_channel_id, next_id, in_author_id, old_seq + 1, old_change + 1, in_kind, in_content, in_mention_ids, in_terms,
            in_attachment_ids);
  IF in_mention_ids IS NOT NULL THEN
    FOREACH mentioned_id IN ARRAY in_mention_ids LOOP
      INSERT INTO mentions (channel_id, user_id, seq, message_id)
        VALUES (in_channel_id, mentioned_id, old_seq + 1, next_id);
    END LOOP;
  END IF;
  UPDATE members m SET last_read_seq = greatest(m.last_read_seq, old_seq + 1)
    WHERE m.channel_id = in_channel_id AND m.user_id = in_author_id;
  -- Days are asked first, as a month begins with one of them and they cost nothing.
  IF old_seq = 0 OR old_seq < old_first_seq OR (next_id >> 22) / 86400000 > (old_id >> 22) / 86400000 THEN
    IF old_seq = 0 OR old_seq < old_first_seq OR message_bucket(next_id) > message_bucket(old_id) THEN
      INSERT INTO channel_buckets (channel_id, first_seq, first_change, bucket)
        VALUES (in_channel_id, old_seq + 1, old_change + 1, message_bucket(next_id));
    END IF;
  END IF;
  INSERT INTO outbox (channel_id, first_seq, last_seq) VALUES (in_channel_id, old_seq + 1, old_seq + 1);
  UPDATE channels c
    SET last_seq = old_seq + 1,
        last_change = old_change + 1,
        last_id = next_id,
        first_seq = CASE WHEN old_first_seq = 0 THEN old_seq + 1 ELSE old_first_seq END
    WHERE c.id = in_channel_id;
  RETURN ARRAY[next_id, old_seq + 1, old_change + 1];
END $$;
