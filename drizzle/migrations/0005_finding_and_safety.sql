CREATE TABLE "activities" (
	"user_id" bigint NOT NULL,
	"id" integer NOT NULL,
	"kind" text NOT NULL,
	"channel_id" bigint NOT NULL,
	"message_id" bigint NOT NULL,
	"subject" bigint NOT NULL,
	"actor_id" bigint NOT NULL,
	"emoji" text,
	"at" timestamp with time zone NOT NULL,
	"withdrawn" boolean DEFAULT false NOT NULL,
	CONSTRAINT "activities_user_id_id_pk" PRIMARY KEY("user_id","id")
);
--> statement-breakpoint
CREATE TABLE "activity_marks" (
	"user_id" bigint PRIMARY KEY NOT NULL,
	"read_up_to" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "audit_contents" (
	"channel_id" bigint NOT NULL,
	"number" integer NOT NULL,
	"content" text NOT NULL,
	"salt" "bytea" NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	CONSTRAINT "audit_contents_channel_id_number_pk" PRIMARY KEY("channel_id","number")
);
--> statement-breakpoint
CREATE TABLE "audit_log" (
	"channel_id" bigint NOT NULL,
	"number" integer NOT NULL,
	"id" bigint NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"actor_id" bigint,
	"action" text NOT NULL,
	"subject_id" bigint,
	"message_id" bigint,
	"report_id" bigint,
	"reason" text,
	"detail" text,
	"content_hash" "bytea",
	"salt" "bytea" NOT NULL,
	"hash" "bytea" NOT NULL,
	CONSTRAINT "audit_log_channel_id_number_pk" PRIMARY KEY("channel_id","number")
);
--> statement-breakpoint
CREATE TABLE "bans" (
	"channel_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"banned_by" bigint NOT NULL,
	"banned_at" timestamp with time zone NOT NULL,
	"until" timestamp with time zone,
	"reason" text,
	CONSTRAINT "bans_channel_id_user_id_pk" PRIMARY KEY("channel_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "data_exports" (
	"user_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"status" text DEFAULT 'PENDING' NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"key" text,
	"byte_size" bigint,
	"expires_at" timestamp with time zone,
	CONSTRAINT "data_exports_user_id_id_pk" PRIMARY KEY("user_id","id")
);
--> statement-breakpoint
CREATE TABLE "feed_entries" (
	"user_id" bigint NOT NULL,
	"message_id" bigint NOT NULL,
	"channel_id" bigint NOT NULL,
	CONSTRAINT "feed_entries_user_id_message_id_channel_id_pk" PRIMARY KEY("user_id","message_id","channel_id")
);
--> statement-breakpoint
CREATE TABLE "feed_spans" (
	"channel_id" bigint PRIMARY KEY NOT NULL,
	"after_id" bigint NOT NULL,
	"up_to_id" bigint NOT NULL,
	"told_id" bigint NOT NULL,
	"merged" boolean GENERATED ALWAYS AS (told_id > up_to_id or after_id <> 0) STORED
);
--> statement-breakpoint
CREATE TABLE "invite_uses" (
	"channel_id" bigint NOT NULL,
	"invite_id" bigint NOT NULL,
	"nth" integer NOT NULL,
	"user_id" bigint NOT NULL,
	"joined_at" timestamp with time zone NOT NULL,
	CONSTRAINT "invite_uses_channel_id_invite_id_nth_pk" PRIMARY KEY("channel_id","invite_id","nth")
);
--> statement-breakpoint
CREATE TABLE "invites" (
	"channel_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"code" text NOT NULL,
	"created_by" bigint NOT NULL,
	"created_by_joined_change" integer NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"max_uses" integer,
	"uses" integer DEFAULT 0 NOT NULL,
	"expires_at" timestamp with time zone,
	"revoked_at" timestamp with time zone,
	CONSTRAINT "invites_channel_id_id_pk" PRIMARY KEY("channel_id","id")
);
--> statement-breakpoint
CREATE TABLE "reaction_outbox" (
	"channel_id" bigint NOT NULL,
	"message_id" bigint NOT NULL,
	"change" integer NOT NULL,
	"user_id" bigint NOT NULL,
	"at" timestamp with time zone NOT NULL,
	CONSTRAINT "reaction_outbox_channel_id_change_pk" PRIMARY KEY("channel_id","change")
);
--> statement-breakpoint
CREATE TABLE "reports" (
	"id" bigint PRIMARY KEY NOT NULL,
	"reporter_id" bigint NOT NULL,
	"subject_id" bigint NOT NULL,
	"channel_id" bigint,
	"message_id" bigint,
	"reason" text NOT NULL,
	"content" text,
	"attachment_ids" bigint[],
	"status" text DEFAULT 'OPEN' NOT NULL,
	"resolved_by" bigint,
	"resolved_at" timestamp with time zone,
	"note" text
);
--> statement-breakpoint
CREATE TABLE "message_links" (
	"channel_id" bigint NOT NULL,
	"message_id" bigint NOT NULL,
	"code" text NOT NULL,
	CONSTRAINT "message_links_channel_id_message_id_pk" PRIMARY KEY("channel_id","message_id")
);
--> statement-breakpoint
CREATE TABLE "short_link_visits" (
	"code" text PRIMARY KEY NOT NULL,
	"visits" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "short_links" (
	"code" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"channel_id" bigint NOT NULL,
	"target_id" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "name_keys" (
	"lead" text collate "C" NOT NULL,
	"key" text collate "C" NOT NULL,
	"kind" text NOT NULL,
	"subject_id" bigint NOT NULL,
	"score" smallint DEFAULT 0 NOT NULL,
	CONSTRAINT "name_keys_lead_kind_key_subject_id_pk" PRIMARY KEY("lead","kind","key","subject_id")
);
--> statement-breakpoint
CREATE TABLE "search_samples" (
	"user_id" bigint NOT NULL,
	"day" date NOT NULL,
	"term" text NOT NULL,
	CONSTRAINT "search_samples_user_id_day_term_pk" PRIMARY KEY("user_id","day","term")
);
--> statement-breakpoint
CREATE TABLE "suggestion_nodes" (
	"lead" text collate "C" NOT NULL,
	"prefix" text collate "C" NOT NULL,
	"kind" text NOT NULL,
	"generation" bigint NOT NULL,
	"whole" boolean DEFAULT false NOT NULL,
	"entries" text NOT NULL,
	CONSTRAINT "suggestion_nodes_lead_prefix_kind_generation_pk" PRIMARY KEY("lead","prefix","kind","generation")
);
--> statement-breakpoint
CREATE TABLE "suggestion_trees" (
	"name" text PRIMARY KEY NOT NULL,
	"generation" bigint DEFAULT 0 NOT NULL,
	"swapped_at" timestamp with time zone,
	"took_ms" integer DEFAULT 0 NOT NULL,
	"untidy" boolean DEFAULT false NOT NULL,
	"scored_at" timestamp with time zone,
	"keys_version" integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "slow_mode_seconds" integer;--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "feed_merged" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "members" ADD COLUMN "silenced_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "identities" ADD COLUMN "held_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "usernames" ADD COLUMN "held_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "moderator" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "deleted_at" timestamp with time zone;--> statement-breakpoint
CREATE UNIQUE INDEX "activities_once" ON "activities" USING btree ("user_id","channel_id","message_id","subject");--> statement-breakpoint
CREATE INDEX "activities_at" ON "activities" USING btree ("at");--> statement-breakpoint
CREATE INDEX "audit_contents_expires_at" ON "audit_contents" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "audit_log_id" ON "audit_log" USING btree ("id","channel_id");--> statement-breakpoint
CREATE INDEX "bans_banned_at" ON "bans" USING btree ("channel_id","banned_at","user_id");--> statement-breakpoint
CREATE INDEX "bans_until" ON "bans" USING btree ("until") WHERE "bans"."until" is not null;--> statement-breakpoint
CREATE INDEX "data_exports_expires_at" ON "data_exports" USING btree ("expires_at") WHERE "data_exports"."status" = 'READY';--> statement-breakpoint
CREATE INDEX "data_exports_created_at" ON "data_exports" USING btree ("created_at") WHERE "data_exports"."status" <> 'READY';--> statement-breakpoint
CREATE INDEX "feed_spans_merged" ON "feed_spans" USING btree ("channel_id") WHERE "feed_spans"."merged";--> statement-breakpoint
CREATE INDEX "invites_created_by" ON "invites" USING btree ("channel_id","created_by","id");--> statement-breakpoint
CREATE UNIQUE INDEX "reports_open_message" ON "reports" USING btree ("reporter_id","channel_id","message_id") WHERE "reports"."status" = 'OPEN' and "reports"."message_id" is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "reports_open_user" ON "reports" USING btree ("reporter_id","subject_id") WHERE "reports"."status" = 'OPEN' and "reports"."message_id" is null;--> statement-breakpoint
CREATE INDEX "reports_reporter" ON "reports" USING btree ("reporter_id","id");--> statement-breakpoint
CREATE INDEX "reports_status" ON "reports" USING btree ("status","id");--> statement-breakpoint
CREATE INDEX "reports_channel" ON "reports" USING btree ("channel_id","id");--> statement-breakpoint
CREATE INDEX "reports_resolved_at" ON "reports" USING btree ("resolved_at") WHERE "reports"."resolved_at" is not null and "reports"."content" is not null;--> statement-breakpoint
CREATE INDEX "name_keys_subject" ON "name_keys" USING btree ("subject_id");--> statement-breakpoint
CREATE INDEX "search_samples_day" ON "search_samples" USING btree ("day");--> statement-breakpoint
CREATE INDEX "members_former" ON "members" USING btree ("user_id") WHERE "members"."left_at" is not null;--> statement-breakpoint
CREATE INDEX "contacts_contact" ON "contacts" USING btree ("contact_id");--> statement-breakpoint
CREATE INDEX "identities_user" ON "identities" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "identities_held_until" ON "identities" USING btree ("held_until") WHERE "identities"."held_until" is not null;--> statement-breakpoint
CREATE INDEX "usernames_held_until" ON "usernames" USING btree ("held_until") WHERE "usernames"."held_until" is not null;
--> statement-breakpoint
CREATE FUNCTION "refuse_audit_change"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The audit log is added to and never changed.' USING ERRCODE = 'restrict_violation';
END
$$;
--> statement-breakpoint
CREATE TRIGGER "audit_log_stands" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_log"
  FOR EACH STATEMENT EXECUTE FUNCTION "refuse_audit_change"();
--> statement-breakpoint
ALTER TABLE "audit_log" ENABLE ALWAYS TRIGGER "audit_log_stands";

--> statement-breakpoint
-- What was said before is read from its channels. Those in which nothing was said for 8 days, as long as entries are
-- kept, are read from there anyway, and need no row: they are most, and everybody waits for this statement. (Above 22
-- bits of an id stand its milliseconds since 2000.)
INSERT INTO "feed_spans" ("channel_id", "after_id", "up_to_id", "told_id")
SELECT "id", "last_id", "last_id", "last_id" FROM "channels"
WHERE "last_seq" > 0
  AND "last_id" >= ((extract(epoch from now()) * 1000)::bigint - 946684800000 - 8 * 86400000) << 22;
