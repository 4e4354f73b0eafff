/** Removes old deliveries and those of deleted webhooks. RETRYING deliveries of existing webhooks are kept. */
import type Database from 'better-sqlite3';
import { asc, sql, type SQL } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { prepareRead, prepareWrite } from '../schema/statements.ts';
import { webhookDeliveries as deliveries, webhooks } from '../schema/tables.ts';

const DAY_MS = 86_400_000;
/** Time after a delivery is settled. */
const DEAD_RETENTION_MS = 30 * DAY_MS;
const DELIVERED_RETENTION_MS = DAY_MS;
/** Per webhook. More may exist until the next run of retention. */
const MAX_DELIVERED_PER_WEBHOOK = 10_000;

/** Rows without events, of some hundred bytes. */
const ROWS_PER_PORTION = 1_000;
/** Rows with events have about ten pages each, all of which must be read. */
const LARGE_ROWS_PER_PORTION = 100;
/** Counting the deliveries of one webhook takes a fraction of a millisecond. */
const WEBHOOKS_PER_PORTION = 8;

/**
 * @returns a function that does one portion of the work due at `now`, within a transaction. It returns whether there
 * is more.
 */
export const createDeliveryPurger = (connection: Database.Database): ((now: number) => boolean) => {
  const db = drizzle(connection);
  const named = (name: string) => sql.placeholder(name);
  const remove = (which: SQL, names: readonly string[]) =>
    prepareWrite(
      connection,
      db.delete(deliveries).where(sql`${deliveries.seq} IN (SELECT "seq" FROM "webhook_deliveries" WHERE ${which})`),
      names,
    );

  const removeSettled = remove(
    sql`"status" = ${named('status')} AND "settled_at" <= ${named('at')} LIMIT ${named('limit')}`,
    ['status', 'at', 'limit'],
  );
  const removeSurplus = remove(
    sql`"webhook_id" = ${named('webhookId')} AND "status" = 'DELIVERED' ORDER BY "seq" DESC LIMIT ${named('limit')} OFFSET ${named('kept')}`,
    ['webhookId', 'limit', 'kept'],
  );
  const removeOrphaned = remove(sql`"webhook_id" = ${named('webhookId')} LIMIT ${named('limit')}`, [
    'webhookId',
    'limit',
  ]);
  const findNextWebhook = prepareRead(
    connection,
    db
      .select({ webhookId: deliveries.webhookId, exists: sql`${webhooks.webhookId} IS NOT NULL` })
      .from(deliveries)
      .leftJoin(webhooks, sql`${webhooks.webhookId} = ${deliveries.webhookId}`)
      .where(sql`${deliveries.webhookId} > ${named('after')}`)
      .orderBy(asc(deliveries.webhookId)),
    ['after'],
  );

  /** The last webhook examined; empty: starts with the first. */
  let lastWebhookId = '';
  const purgeWebhooks = (): boolean => {
    for (let examined = 0; examined < WEBHOOKS_PER_PORTION; examined++) {
      const [webhookId, exists] = findNextWebhook.get(lastWebhookId) ?? [];
      if (webhookId == null) {
        lastWebhookId = '';
        return false;
      }
      const hasMore =
        exists === 1
          ? removeSurplus.run(webhookId, ROWS_PER_PORTION, MAX_DELIVERED_PER_WEBHOOK).changes >= ROWS_PER_PORTION
          : removeOrphaned.run(webhookId, LARGE_ROWS_PER_PORTION).changes >= LARGE_ROWS_PER_PORTION;
      if (hasMore) return true;
      lastWebhookId = String(webhookId);
    }
    return true;
  };

  return (now) => {
    const more = [
      removeSettled.run('DELIVERED', now - DELIVERED_RETENTION_MS, ROWS_PER_PORTION).changes >= ROWS_PER_PORTION,
      removeSettled.run('DEAD', now - DEAD_RETENTION_MS, LARGE_ROWS_PER_PORTION).changes >= LARGE_ROWS_PER_PORTION,
      purgeWebhooks(),
    ];
    return more.includes(true);
  };
};
