/* Version 1. The bucket of an id: the month of UTC in which the message was created, counted from January 2000. */
CREATE OR REPLACE FUNCTION message_bucket(message_id bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ((extract(year FROM at) - 2000) * 12 + extract(month FROM at) - 1)::integer
  FROM (SELECT timestamp '2000-01-01' + (message_id >> 22) * interval '1 millisecond' AS at) AS moment
$$;
