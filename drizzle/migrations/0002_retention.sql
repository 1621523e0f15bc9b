CREATE TABLE "expirations" (
	"channel_id" bigint PRIMARY KEY NOT NULL,
	"first_seq" integer NOT NULL,
	"first_id" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "channels_retention" ON "channels" USING btree ("retention_days") WHERE "channels"."retention_days" is not null;--> statement-breakpoint
CREATE INDEX "channel_buckets_bucket" ON "channel_buckets" USING btree ("bucket","channel_id");