ALTER TABLE "channels" ADD COLUMN "expired_change" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "retention_days" integer;--> statement-breakpoint
CREATE TABLE "buckets" (
	"bucket" integer PRIMARY KEY NOT NULL,
	"terms_version" integer NOT NULL,
	"compacted_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "channel_buckets" (
	"channel_id" bigint NOT NULL,
	"first_seq" integer NOT NULL,
	"first_change" integer NOT NULL,
	"bucket" integer NOT NULL,
	CONSTRAINT "channel_buckets_channel_id_first_seq_pk" PRIMARY KEY("channel_id","first_seq")
);
--> statement-breakpoint
CREATE TABLE "outbox" (
	"channel_id" bigint NOT NULL,
	"first_seq" integer NOT NULL,
	"last_seq" integer NOT NULL,
	CONSTRAINT "outbox_channel_id_first_seq_pk" PRIMARY KEY("channel_id","first_seq")
);
--> statement-breakpoint
CREATE TABLE "replies" (
	"channel_id" bigint NOT NULL,
	"root_id" bigint NOT NULL,
	"seq" integer NOT NULL,
	"message_id" bigint NOT NULL,
	"deleted" boolean DEFAULT false NOT NULL,
	CONSTRAINT "replies_channel_id_root_id_seq_pk" PRIMARY KEY("channel_id","root_id","seq")
);
--> statement-breakpoint
-- What was there moves over: messages into the partition of their month, what happened to them beside it.
ALTER TABLE "messages" RENAME TO "messages_before";--> statement-breakpoint
ALTER INDEX "messages_seq" RENAME TO "messages_before_seq";--> statement-breakpoint
ALTER TABLE "messages_before" RENAME CONSTRAINT "messages_channel_id_id_pk" TO "messages_before_pk";--> statement-breakpoint
CREATE TABLE "messages" (
	"channel_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"author_id" bigint NOT NULL,
	"reply_to_id" bigint,
	"seq" integer NOT NULL,
	"change" integer NOT NULL,
	"edited_at" timestamp with time zone,
	"deleted_at" timestamp with time zone,
	"kind" text NOT NULL,
	"content" text NOT NULL,
	"mention_ids" bigint[],
	"terms" integer[],
	CONSTRAINT "messages_channel_id_id_pk" PRIMARY KEY("channel_id","id")
) PARTITION BY RANGE ("id");
--> statement-breakpoint
CREATE INDEX "messages_seq" ON "messages" USING btree ("channel_id","seq");--> statement-breakpoint
CREATE INDEX "messages_terms" ON "messages" USING gin ("terms") WITH (gin_pending_list_limit=16384);--> statement-breakpoint
INSERT INTO "channel_buckets" ("channel_id", "first_seq", "first_change", "bucket")
	SELECT "channel_id", min("seq"), min("change"), "bucket" FROM (
		SELECT *, ((extract(year from "at") - 2000) * 12 + extract(month from "at") - 1)::integer AS "bucket" FROM (
			SELECT *, timestamp '2000-01-01' + ("id" >> 22) * interval '1 millisecond' AS "at" FROM "messages_before"
		) "dated"
	) "sorted" GROUP BY "channel_id", "bucket";--> statement-breakpoint
-- Maintenance makes what is older than 1 findable.
INSERT INTO "buckets" ("bucket", "terms_version") SELECT DISTINCT "bucket", 0 FROM "channel_buckets";--> statement-breakpoint
-- The planner must know more of "terms" than of other columns, to tell a rare word from a common one.
DO $$
DECLARE
	"first" timestamp;
BEGIN
	FOR "first" IN SELECT timestamp '2000-01-01' + "bucket" * interval '1 month' FROM "buckets" LOOP
		EXECUTE format(
			'CREATE TABLE %I PARTITION OF "messages" FOR VALUES FROM (%s) TO (%s)',
			to_char("first", '"messages_"YYYY_MM'),
			extract(epoch from "first" - timestamp '2000-01-01')::bigint * 1000 << 22,
			extract(epoch from "first" + interval '1 month' - timestamp '2000-01-01')::bigint * 1000 << 22
		);
		EXECUTE format(
			'ALTER TABLE %I ALTER COLUMN "terms" SET STATISTICS 1000, ALTER COLUMN "channel_id" SET (n_distinct = 1000)',
			to_char("first", '"messages_"YYYY_MM')
		);
	END LOOP;
END $$;--> statement-breakpoint
INSERT INTO "messages" ("channel_id", "id", "author_id", "reply_to_id", "seq", "change", "edited_at", "deleted_at", "kind", "content", "mention_ids")
	SELECT "channel_id", "id", "author_id", "reply_to_id", "seq", "change", "edited_at", "deleted_at", "kind", "content", nullif("mention_ids", '{}')
	FROM "messages_before" ORDER BY "channel_id", "id";--> statement-breakpoint
ALTER TABLE "message_changes" ADD COLUMN "reply_count" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "message_changes" ADD COLUMN "pinned_at" timestamp with time zone;--> statement-breakpoint
INSERT INTO "message_changes" ("channel_id", "message_id", "change", "kind", "reply_count", "pinned_at")
	SELECT "channel_id", "id", "version", 'CREATED', "reply_count", "pinned_at" FROM "messages_before"
	WHERE "reply_count" > 0 OR "pinned_at" IS NOT NULL
	ON CONFLICT ("channel_id", "message_id")
	DO UPDATE SET "reply_count" = excluded."reply_count", "pinned_at" = excluded."pinned_at";--> statement-breakpoint
CREATE INDEX "message_changes_pinned" ON "message_changes" USING btree ("channel_id","message_id") WHERE "message_changes"."pinned_at" is not null;--> statement-breakpoint
INSERT INTO "replies" ("channel_id", "root_id", "seq", "message_id", "deleted")
	SELECT "channel_id", "reply_to_id", "seq", "id", "deleted_at" IS NOT NULL FROM "messages_before" WHERE "reply_to_id" IS NOT NULL;--> statement-breakpoint
DROP TABLE "messages_before";--> statement-breakpoint
ALTER TABLE "send_keys" RENAME TO "send_keys_before";--> statement-breakpoint
CREATE TABLE "send_keys" (
	"channel_id" bigint NOT NULL,
	"key_hash" uuid NOT NULL,
	"message_id" bigint NOT NULL,
	"body_hash" uuid NOT NULL,
	CONSTRAINT "send_keys_channel_id_key_hash_pk" PRIMARY KEY("channel_id","key_hash")
);
--> statement-breakpoint
INSERT INTO "send_keys" ("channel_id", "key_hash", "message_id", "body_hash")
	SELECT "channel_id", encode(substring(sha256(convert_to("author_id" || ' ' || "key", 'UTF8')) for 16), 'hex')::uuid,
		"message_id", encode(substring("body_hash" for 16), 'hex')::uuid
	FROM "send_keys_before";--> statement-breakpoint
DROP TABLE "send_keys_before";--> statement-breakpoint
-- One plan serves every channel, so it has to be one for the largest: the average channel is so small that the planner
-- would not mind reading all of it. Partitions of "messages" are told the same as they are made.
ALTER TABLE "members" ALTER COLUMN "channel_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "message_changes" ALTER COLUMN "channel_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "send_keys" ALTER COLUMN "channel_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "mentions" ALTER COLUMN "channel_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "reactions" ALTER COLUMN "channel_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "threads" ALTER COLUMN "channel_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "replies" ALTER COLUMN "channel_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "channel_buckets" ALTER COLUMN "channel_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "members" ALTER COLUMN "user_id" SET (n_distinct = 100);--> statement-breakpoint
ALTER TABLE "mentions" ALTER COLUMN "user_id" SET (n_distinct = 100);--> statement-breakpoint
ANALYZE "members", "message_changes", "send_keys", "mentions", "reactions", "threads", "replies", "channel_buckets";
