CREATE TABLE `events` (
	`seq` integer PRIMARY KEY NOT NULL,
	`change_seq` integer NOT NULL,
	`user_id` text NOT NULL,
	`session_id` text NOT NULL,
	`platform` text NOT NULL,
	`device_id` text NOT NULL,
	`reason` text NOT NULL,
	`session_status` text NOT NULL,
	`previous_status` text NOT NULL,
	`status` text NOT NULL,
	`version` integer NOT NULL,
	`kicked_by` text,
	`custom_status` text,
	`ip_address` text,
	`occurred_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `events_of_user` ON `events` (`user_id`,`seq`);--> statement-breakpoint
CREATE TABLE `meta` (
	`key` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `sessions` (
	`id` integer PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`session_id` text NOT NULL,
	`platform` text NOT NULL,
	`device_id` text NOT NULL,
	`status` text NOT NULL,
	`app_state` text NOT NULL,
	`background_since` integer,
	`heartbeat_interval_ms` integer NOT NULL,
	`heartbeat_timeout_ms` integer NOT NULL,
	`background_timeout_ms` integer,
	`disconnect_grace_ms` integer NOT NULL,
	`alive_at` integer NOT NULL,
	`last_seen_at` integer NOT NULL,
	`detached_at` integer,
	`push_expires_at` integer,
	`app_version` text,
	`os_version` text,
	`ip_address` text,
	`logged_in_at` integer NOT NULL,
	`token_hash` text NOT NULL,
	`watch` text,
	`ended_at` integer,
	`end_reason` text,
	`kicked_by` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `sessions_of_user` ON `sessions` (`user_id`,`session_id`);--> statement-breakpoint
CREATE INDEX `sessions_live` ON `sessions` (`platform`,`user_id`) WHERE ended_at IS NULL;--> statement-breakpoint
CREATE INDEX `sessions_ended` ON `sessions` (`ended_at`) WHERE ended_at IS NOT NULL;--> statement-breakpoint
CREATE TABLE `users` (
	`user_id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`status` text NOT NULL,
	`changed_at` integer,
	`reason` text,
	`last_seen_at` integer,
	`custom_status` text,
	`tokens_revoked_before` integer
);
--> statement-breakpoint
CREATE INDEX `users_online` ON `users` (`status`,`user_id`) WHERE status <> 'OFFLINE';--> statement-breakpoint
CREATE INDEX `users_offline_since` ON `users` (`changed_at`) WHERE status = 'OFFLINE';