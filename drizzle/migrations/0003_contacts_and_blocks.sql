CREATE TABLE "blocks" (
	"user_id" bigint NOT NULL,
	"blocked_id" bigint NOT NULL,
	"blocked_at" timestamp with time zone NOT NULL,
	CONSTRAINT "blocks_user_id_blocked_id_pk" PRIMARY KEY("user_id","blocked_id")
);
--> statement-breakpoint
CREATE TABLE "contacts" (
	"user_id" bigint NOT NULL,
	"contact_id" bigint NOT NULL,
	"added_at" timestamp with time zone NOT NULL,
	CONSTRAINT "contacts_user_id_contact_id_pk" PRIMARY KEY("user_id","contact_id")
);
--> statement-breakpoint
ALTER TABLE "channels" ADD COLUMN "shut" boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX "blocks_blocked_at" ON "blocks" USING btree ("user_id","blocked_at","blocked_id");--> statement-breakpoint
CREATE INDEX "contacts_added_at" ON "contacts" USING btree ("user_id","added_at","contact_id");--> statement-breakpoint
CREATE INDEX "sessions_revoked_at" ON "sessions" USING btree ("revoked_at") WHERE "sessions"."revoked_at" is not null;