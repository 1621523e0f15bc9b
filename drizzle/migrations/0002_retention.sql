CREATE TABLE "expirations" (
	"channel_id" bigint NOT NULL,
	"bucket" integer NOT NULL,
	"first_seq" integer NOT NULL,
	CONSTRAINT "expirations_channel_id_bucket_pk" PRIMARY KEY("channel_id","bucket")
);
--> statement-breakpoint
CREATE INDEX "expirations_bucket" ON "expirations" USING btree ("bucket","channel_id");--> statement-breakpoint
CREATE INDEX "channels_retention" ON "channels" USING btree ("retention_days") WHERE "channels"."retention_days" is not null;--> statement-breakpoint
CREATE INDEX "channel_buckets_bucket" ON "channel_buckets" USING btree ("bucket","channel_id");