CREATE TABLE "attachments" (
	"user_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"filename" text NOT NULL,
	"content_type" text NOT NULL,
	"byte_size" integer NOT NULL,
	"status" text DEFAULT 'PENDING' NOT NULL,
	"failure" text,
	"key" text,
	"width" integer,
	"height" integer,
	"placeholder" text,
	"duration_ms" integer,
	"waveform" text,
	"thumbnails" text,
	"created_at" timestamp with time zone NOT NULL,
	"completed_at" timestamp with time zone,
	"claimed_channel_id" bigint,
	"claimed_key" uuid,
	"claimed_at" timestamp with time zone,
	CONSTRAINT "attachments_user_id_id_pk" PRIMARY KEY("user_id","id")
);
--> statement-breakpoint
CREATE TABLE "active_channels" (
	"user_id" bigint NOT NULL,
	"session_id" bigint NOT NULL,
	"channel_id" bigint NOT NULL,
	"until" timestamp with time zone NOT NULL,
	CONSTRAINT "active_channels_user_id_session_id_pk" PRIMARY KEY("user_id","session_id")
);
--> statement-breakpoint
CREATE TABLE "devices" (
	"user_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"platform" text NOT NULL,
	"token" text NOT NULL,
	"token_hash" uuid NOT NULL,
	"app_id" text,
	"sandbox" boolean DEFAULT false NOT NULL,
	"locale" text,
	"session_id" bigint,
	"created_at" timestamp with time zone NOT NULL,
	"badge" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "devices_user_id_id_pk" PRIMARY KEY("user_id","id")
);
--> statement-breakpoint
CREATE TABLE "push_deliveries" (
	"user_id" bigint NOT NULL,
	"device_id" bigint NOT NULL,
	"channel_id" bigint NOT NULL,
	"subject_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"seq" integer NOT NULL,
	"status" text NOT NULL,
	"reason" text,
	"attempts" integer DEFAULT 0 NOT NULL,
	"claimed_until" timestamp with time zone,
	"created_at" timestamp with time zone NOT NULL,
	"sent_at" timestamp with time zone,
	CONSTRAINT "push_deliveries_user_id_device_id_channel_id_subject_id_pk" PRIMARY KEY("user_id","device_id","channel_id","subject_id")
);
--> statement-breakpoint
CREATE TABLE "link_cache" (
	"url_hash" uuid PRIMARY KEY NOT NULL,
	"url" text NOT NULL,
	"outcome" text NOT NULL,
	"title" text,
	"description" text,
	"site_name" text,
	"image_key" text,
	"image_type" text,
	"image_width" integer,
	"image_height" integer,
	"fetched_at" timestamp with time zone NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "link_hosts" (
	"host" text PRIMARY KEY NOT NULL,
	"next_at" timestamp with time zone NOT NULL,
	"robots" text,
	"robots_expires_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "link_previews" (
	"channel_id" bigint NOT NULL,
	"message_id" bigint NOT NULL,
	"position" integer NOT NULL,
	"url" text NOT NULL,
	"title" text,
	"description" text,
	"site_name" text,
	"image_key" text,
	"image_type" text,
	"image_width" integer,
	"image_height" integer,
	"removed" boolean DEFAULT false NOT NULL,
	CONSTRAINT "link_previews_channel_id_message_id_position_pk" PRIMARY KEY("channel_id","message_id","position")
);
--> statement-breakpoint
CREATE TABLE "reminders" (
	"user_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"channel_id" bigint,
	"message_id" bigint,
	"note" text,
	"remind_at" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"reminded_at" timestamp with time zone,
	CONSTRAINT "reminders_user_id_id_pk" PRIMARY KEY("user_id","id")
);
--> statement-breakpoint
CREATE TABLE "scheduled_messages" (
	"user_id" bigint NOT NULL,
	"id" bigint NOT NULL,
	"channel_id" bigint NOT NULL,
	"content" text NOT NULL,
	"send_at" timestamp with time zone NOT NULL,
	"created_at" timestamp with time zone NOT NULL,
	"idempotency_key" text NOT NULL,
	"failure" text,
	CONSTRAINT "scheduled_messages_user_id_id_pk" PRIMARY KEY("user_id","id")
);
--> statement-breakpoint
CREATE TABLE "settings" (
	"user_id" bigint PRIMARY KEY NOT NULL,
	"locale" text,
	"time_zone" text,
	"quiet_hours_start" text,
	"quiet_hours_end" text,
	"push_previews" boolean DEFAULT true NOT NULL,
	"email_when_away" boolean DEFAULT true NOT NULL,
	"email" text,
	"email_verified_at" timestamp with time zone,
	"mailed_at" timestamp with time zone
);
--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "expire_after_seconds" integer;--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "disappeared_seq" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "messages" ADD COLUMN "attachment_ids" bigint[];--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "avatar_attachment_id" bigint;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "avatar_key" text;--> statement-breakpoint
CREATE INDEX "attachments_unclaimed" ON "attachments" USING btree ("created_at") WHERE "attachments"."claimed_at" is null;--> statement-breakpoint
CREATE INDEX "attachments_processing" ON "attachments" USING btree ("created_at") WHERE "attachments"."status" = 'PROCESSING';--> statement-breakpoint
CREATE UNIQUE INDEX "devices_token" ON "devices" USING btree ("user_id","token_hash");--> statement-breakpoint
CREATE INDEX "devices_token_hash" ON "devices" USING btree ("token_hash");--> statement-breakpoint
CREATE INDEX "push_deliveries_shown" ON "push_deliveries" USING btree ("user_id","channel_id","seq") WHERE "push_deliveries"."status" in ('PENDING', 'HELD', 'SENT', 'SUMMARISED');--> statement-breakpoint
CREATE INDEX "push_deliveries_sent_at" ON "push_deliveries" USING btree ("user_id","device_id","sent_at") WHERE "push_deliveries"."sent_at" is not null;--> statement-breakpoint
CREATE INDEX "push_deliveries_open" ON "push_deliveries" USING btree ("user_id","device_id","created_at") WHERE "push_deliveries"."status" in ('PENDING', 'HELD');--> statement-breakpoint
CREATE INDEX "push_deliveries_created_at" ON "push_deliveries" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "link_cache_expires_at" ON "link_cache" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "link_cache_image_key" ON "link_cache" USING btree ("image_key");--> statement-breakpoint
CREATE INDEX "link_previews_image_key" ON "link_previews" USING btree ("image_key") WHERE "link_previews"."image_key" is not null;--> statement-breakpoint
CREATE INDEX "reminders_due" ON "reminders" USING btree ("remind_at") WHERE "reminders"."reminded_at" is null;--> statement-breakpoint
CREATE UNIQUE INDEX "scheduled_messages_key" ON "scheduled_messages" USING btree ("user_id","idempotency_key");--> statement-breakpoint
CREATE INDEX "scheduled_messages_due" ON "scheduled_messages" USING btree ("send_at") WHERE "scheduled_messages"."failure" is null;--> statement-breakpoint
CREATE INDEX "channels_expire_after" ON "channels" USING btree ("id") WHERE "channels"."expire_after_seconds" is not null;