CREATE TABLE `webhook_deliveries` (
	`seq` integer PRIMARY KEY NOT NULL,
	`delivery_id` text NOT NULL,
	`webhook_id` text NOT NULL,
	`shard` integer,
	`is_test` integer NOT NULL,
	`status` text NOT NULL,
	`event_count` integer NOT NULL,
	`created_at` integer NOT NULL,
	`attempts` integer NOT NULL,
	`last_attempt_at` integer,
	`last_status` integer,
	`last_error` text,
	`next_attempt_at` integer,
	`give_up_at` integer NOT NULL,
	`settled_at` integer,
	`events` text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `webhook_deliveries_delivery_id_unique` ON `webhook_deliveries` (`delivery_id`);--> statement-breakpoint
CREATE INDEX `webhook_deliveries_of` ON `webhook_deliveries` (`webhook_id`,`status`,`seq`);--> statement-breakpoint
CREATE INDEX `webhook_deliveries_due` ON `webhook_deliveries` (`webhook_id`,`shard`,`next_attempt_at`) WHERE status = 'RETRYING';--> statement-breakpoint
CREATE INDEX `webhook_deliveries_settled` ON `webhook_deliveries` (`status`,`settled_at`) WHERE settled_at IS NOT NULL;--> statement-breakpoint
CREATE TABLE `webhook_shards` (
	`webhook_id` text NOT NULL,
	`shard` integer NOT NULL,
	`position` text NOT NULL,
	PRIMARY KEY(`webhook_id`, `shard`)
);
--> statement-breakpoint
CREATE TABLE `webhooks` (
	`seq` integer PRIMARY KEY NOT NULL,
	`webhook_id` text NOT NULL,
	`url` text NOT NULL,
	`format` text NOT NULL,
	`secret` text,
	`previous_secret` text,
	`previous_valid_until` integer,
	`reasons` text,
	`user_status_only` integer NOT NULL,
	`state` text NOT NULL,
	`created_at` integer NOT NULL,
	`changed_at` integer NOT NULL,
	`start` text NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `webhooks_webhook_id_unique` ON `webhooks` (`webhook_id`);