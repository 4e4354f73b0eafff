CREATE TABLE `webhook_isolated_users` (
	`webhook_id` text NOT NULL,
	`shard` integer NOT NULL,
	`user_id` text NOT NULL,
	`position` text NOT NULL,
	`skipped_through` text,
	`delivery_id` text,
	PRIMARY KEY(`webhook_id`, `shard`, `user_id`)
);
