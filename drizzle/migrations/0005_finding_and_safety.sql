ALTER TABLE "channels" ADD COLUMN "slow_mode_seconds" integer;--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "feed_merged" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "members" ADD COLUMN "silenced_until" timestamp with time zone;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "moderator" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "deleted_at" timestamp with time zone;