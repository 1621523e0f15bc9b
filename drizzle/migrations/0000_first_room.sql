CREATE TABLE "account_changes" (
	"user_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"channel_id" bigint NOT NULL,
	"change" integer NOT NULL,
	CONSTRAINT "account_changes_user_id_kind_channel_id_pk" PRIMARY KEY("user_id","kind","channel_id")
);
--> statement-breakpoint
CREATE TABLE "accounts" (
	"user_id" bigint PRIMARY KEY NOT NULL,
	"last_change" integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE "drafts" (
	"user_id" bigint NOT NULL,
	"channel_id" bigint NOT NULL,
	"content" text NOT NULL,
	"saved_at" timestamp with time zone NOT NULL,
	CONSTRAINT "drafts_user_id_channel_id_pk" PRIMARY KEY("user_id","channel_id")
);
--> statement-breakpoint
CREATE TABLE "channels" (
	"id" bigint PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"name" text,
	"topic" text,
	"created_at" timestamp with time zone NOT NULL,
	"member_count" integer DEFAULT 0 NOT NULL,
	"membership_version" integer DEFAULT 0 NOT NULL,
	"info_change" integer DEFAULT 0 NOT NULL,
	"first_seq" integer DEFAULT 0 NOT NULL,
	"last_seq" integer DEFAULT 0 NOT NULL,
	"last_change" integer DEFAULT 0 NOT NULL,
	"last_id" bigint DEFAULT '0' NOT NULL
);
--> statement-breakpoint
CREATE TABLE "direct_channels" (
	"low_user_id" bigint NOT NULL,
	"high_user_id" bigint NOT NULL,
	"channel_id" bigint NOT NULL,
	CONSTRAINT "direct_channels_low_user_id_high_user_id_pk" PRIMARY KEY("low_user_id","high_user_id")
);
--> statement-breakpoint
CREATE TABLE "members" (
	"channel_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"role" text NOT NULL,
	"joined_at" timestamp with time zone NOT NULL,
	"left_at" timestamp with time zone,
	"change" integer NOT NULL,
	"joined_seq" integer DEFAULT 0 NOT NULL,
	"joined_change" integer DEFAULT 0 NOT NULL,
	"last_read_seq" integer DEFAULT 0 NOT NULL,
	"notification_level" text DEFAULT 'ALL' NOT NULL,
	"muted_until" timestamp with time zone,
	CONSTRAINT "members_channel_id_user_id_pk" PRIMARY KEY("channel_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "mentions" (
	"channel_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"seq" integer NOT NULL,
	"message_id" bigint NOT NULL,
	CONSTRAINT "mentions_channel_id_user_id_seq_pk" PRIMARY KEY("channel_id","user_id","seq")
);
--> statement-breakpoint
CREATE TABLE "message_changes" (
	"channel_id" bigint NOT NULL,
	"message_id" bigint NOT NULL,
	"change" integer NOT NULL,
	"kind" text NOT NULL,
	CONSTRAINT "message_changes_channel_id_message_id_pk" PRIMARY KEY("channel_id","message_id")
);
--> statement-breakpoint
CREATE TABLE "messages" (
	"channel_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"seq" integer NOT NULL,
	"change" integer NOT NULL,
	"version" integer NOT NULL,
	"kind" text NOT NULL,
	"author_id" bigint NOT NULL,
	"content" text NOT NULL,
	"reply_to_id" bigint,
	"reply_count" integer DEFAULT 0 NOT NULL,
	"mention_ids" bigint[] DEFAULT '{}' NOT NULL,
	"edited_at" timestamp with time zone,
	"deleted_at" timestamp with time zone,
	"pinned_at" timestamp with time zone,
	CONSTRAINT "messages_channel_id_id_pk" PRIMARY KEY("channel_id","id")
);
--> statement-breakpoint
CREATE TABLE "reactions" (
	"channel_id" bigint NOT NULL,
	"message_id" bigint NOT NULL,
	"emoji" text NOT NULL,
	"user_id" bigint NOT NULL,
	"change" integer NOT NULL,
	CONSTRAINT "reactions_channel_id_message_id_emoji_user_id_pk" PRIMARY KEY("channel_id","message_id","emoji","user_id")
);
--> statement-breakpoint
CREATE TABLE "send_keys" (
	"channel_id" bigint NOT NULL,
	"author_id" bigint NOT NULL,
	"key" text NOT NULL,
	"message_id" bigint NOT NULL,
	"body_hash" "bytea" NOT NULL,
	CONSTRAINT "send_keys_channel_id_author_id_key_pk" PRIMARY KEY("channel_id","author_id","key")
);
--> statement-breakpoint
CREATE TABLE "threads" (
	"channel_id" bigint NOT NULL,
	"message_id" bigint NOT NULL,
	"user_id" bigint NOT NULL,
	"last_read_seq" integer NOT NULL,
	CONSTRAINT "threads_channel_id_message_id_user_id_pk" PRIMARY KEY("channel_id","message_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "imports" (
	"source" text NOT NULL,
	"channel_key" text NOT NULL,
	"channel_id" bigint NOT NULL,
	"messages" integer NOT NULL,
	"digest" "bytea" NOT NULL,
	CONSTRAINT "imports_source_channel_key_pk" PRIMARY KEY("source","channel_key")
);
--> statement-breakpoint
CREATE TABLE "worker_leases" (
	"worker" integer PRIMARY KEY NOT NULL,
	"holder" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "credentials" (
	"user_id" bigint PRIMARY KEY NOT NULL,
	"password_hash" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "identities" (
	"issuer" text NOT NULL,
	"subject" text NOT NULL,
	"user_id" bigint NOT NULL,
	CONSTRAINT "identities_issuer_subject_pk" PRIMARY KEY("issuer","subject")
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"user_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"generation" integer DEFAULT 0 NOT NULL,
	"secret_hash" "bytea" NOT NULL,
	"expires_at" timestamp with time zone NOT NULL,
	"revoked_at" timestamp with time zone,
	CONSTRAINT "sessions_user_id_id_pk" PRIMARY KEY("user_id","id")
);
--> statement-breakpoint
CREATE TABLE "usernames" (
	"key" text PRIMARY KEY NOT NULL,
	"user_id" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" bigint PRIMARY KEY NOT NULL,
	"username" text NOT NULL,
	"display_name" text NOT NULL,
	"avatar_url" text,
	"bot" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"presence_status" text,
	"presence_text" text,
	"last_active_at" timestamp with time zone
);
--> statement-breakpoint
CREATE INDEX "account_changes_change" ON "account_changes" USING btree ("user_id","change");--> statement-breakpoint
CREATE INDEX "channels_public_name" ON "channels" USING btree (lower("name"),"id") WHERE "channels"."kind" = 'PUBLIC';--> statement-breakpoint
CREATE INDEX "members_user" ON "members" USING btree ("user_id") WHERE "members"."left_at" is null;--> statement-breakpoint
CREATE INDEX "members_change" ON "members" USING btree ("channel_id","change");--> statement-breakpoint
CREATE INDEX "message_changes_change" ON "message_changes" USING btree ("channel_id","change");--> statement-breakpoint
CREATE UNIQUE INDEX "messages_seq" ON "messages" USING btree ("channel_id","seq");--> statement-breakpoint
CREATE INDEX "messages_replies" ON "messages" USING btree ("channel_id","reply_to_id","seq") WHERE "messages"."reply_to_id" is not null;--> statement-breakpoint
CREATE INDEX "messages_pinned" ON "messages" USING btree ("channel_id","seq") WHERE "messages"."pinned_at" is not null;--> statement-breakpoint
CREATE INDEX "sessions_expires_at" ON "sessions" USING btree ("expires_at");--> statement-breakpoint
-- Rows that every send rewrites leave room on their page, so that the new version stays beside the old (HOT).
ALTER TABLE "channels" SET (fillfactor = 50);--> statement-breakpoint
ALTER TABLE "members" SET (fillfactor = 80);
