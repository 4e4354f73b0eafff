/** Writes the webhook part of a batch, within its transaction. */
import type Database from 'better-sqlite3';
import { and, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { WebhookWrite } from './writer-messages.ts';
import { excludedValues, insertPlaceholders, prepareWrite } from '../schema/statements.ts';
import { webhookDeliveries, webhookIsolatedUsers, webhooks, webhookShards } from '../schema/tables.ts';
import { DELIVERY_COLUMNS, ISOLATED_USER_COLUMNS, SHARD_COLUMNS, WEBHOOK_COLUMNS } from '../schema/webhook-rows.ts';

export const createWebhookWriter = (connection: Database.Database): ((writes: readonly WebhookWrite[]) => void) => {
  const db = drizzle(connection);
  const putWebhook = prepareWrite(
    connection,
    db
      .insert(webhooks)
      .values(insertPlaceholders(WEBHOOK_COLUMNS))
      .onConflictDoUpdate({ target: webhooks.webhookId, set: excludedValues(webhooks, WEBHOOK_COLUMNS.slice(1)) }),
    WEBHOOK_COLUMNS,
  );
  const putPosition = prepareWrite(
    connection,
    db
      .insert(webhookShards)
      .values(insertPlaceholders(SHARD_COLUMNS))
      .onConflictDoUpdate({
        target: [webhookShards.webhookId, webhookShards.shard],
        set: excludedValues(webhookShards, ['position']),
      }),
    SHARD_COLUMNS,
  );
  const putDelivery = prepareWrite(
    connection,
    db
      .insert(webhookDeliveries)
      .values(insertPlaceholders(DELIVERY_COLUMNS))
      .onConflictDoUpdate({
        target: webhookDeliveries.deliveryId,
        set: excludedValues(webhookDeliveries, DELIVERY_COLUMNS.slice(2)),
      }),
    DELIVERY_COLUMNS,
  );
  const isolated = webhookIsolatedUsers;
  const putIsolatedUser = prepareWrite(
    connection,
    db
      .insert(isolated)
      .values(insertPlaceholders(ISOLATED_USER_COLUMNS))
      .onConflictDoUpdate({
        target: [isolated.webhookId, isolated.shard, isolated.userId],
        set: excludedValues(isolated, ISOLATED_USER_COLUMNS.slice(3)),
      }),
    ISOLATED_USER_COLUMNS,
  );
  const isolatedUserKey = ISOLATED_USER_COLUMNS.slice(0, 3);
  const removeIsolatedUser = prepareWrite(
    connection,
    db.delete(isolated).where(and(...isolatedUserKey.map((name) => sql`${isolated[name]} = ${sql.placeholder(name)}`))),
    isolatedUserKey,
  );
  const removeFrom = (table: typeof webhooks | typeof webhookShards | typeof webhookIsolatedUsers) =>
    prepareWrite(connection, db.delete(table).where(sql`${table.webhookId} = ${sql.placeholder('webhookId')}`), [
      'webhookId',
    ]);
  const removeWebhook = removeFrom(webhooks);
  const removePositions = removeFrom(webhookShards);
  const removeIsolatedUsers = removeFrom(webhookIsolatedUsers);

  const write = (write: WebhookWrite): void => {
    switch (write.kind) {
      case 'webhook':
        putWebhook.run(...write.row);
        break;
      case 'position':
        putPosition.run(...write.row);
        break;
      case 'delivery':
        putDelivery.run(...write.row);
        break;
      case 'isolated-user':
        putIsolatedUser.run(...write.row);
        break;
      case 'rejoined-user':
        removeIsolatedUser.run(...write.key);
        break;
      case 'delete':
        // Deliveries may be too many to delete here; retention removes them.
        removePositions.run(write.webhookId);
        removeIsolatedUsers.run(write.webhookId);
        removeWebhook.run(write.webhookId);
    }
  };
  return (writes) => writes.forEach(write);
};
