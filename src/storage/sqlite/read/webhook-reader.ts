/** What the file says of webhooks, as committed. For a file of the present schema only: older ones lack the tables. */
import type Database from 'better-sqlite3';
import { asc, desc, sql, type SQL } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { Delivery } from '../../../app/ports/webhook-store.ts';
import type { Cursor, DeliveryId, WebhookId } from '../../../core/ids.ts';
import type { Shard, WebhookRecord } from '../../../core/webhooks/webhook.ts';
import type { DeliveryStatus } from '../../../core/enums.ts';
import { pick, prepareRead } from '../schema/statements.ts';
import { webhookDeliveries as deliveries, webhooks, webhookShards } from '../schema/tables.ts';
import { WatchedStatement } from '../schema/reporting-statement.ts';
import { DELIVERY_COLUMNS, deliveryFrom, WEBHOOK_COLUMNS, webhookFrom } from '../schema/webhook-rows.ts';

export class WebhookReader {
  readonly #connection: Database.Database;
  readonly #statements: ReturnType<typeof prepareAll>;

  /** @param onFault hears of everything that a query throws. */
  constructor(connection: Database.Database, onFault: (error: unknown) => void) {
    this.#connection = connection;
    this.#statements = prepareAll(connection, onFault);
  }

  /** In the order in which they were made. */
  webhooks(): readonly WebhookRecord[] {
    return this.#statements.webhooks.all().map(webhookFrom);
  }

  /** Null: the shard is still where its webhook began. */
  position(webhookId: WebhookId, shard: Shard): Cursor | null {
    return (this.#statements.position.get(webhookId, shard)?.[0] ?? null) as Cursor | null;
  }

  pending(webhookId: WebhookId, shard: Shard): Delivery | null {
    const row = this.#statements.pending.get(webhookId, shard);
    return row === undefined ? null : deliveryFrom(row);
  }

  /** The first `limit` RETRYING deliveries of the null shard, and when each is due. */
  waiting(webhookId: WebhookId, limit: number): readonly { readonly seq: number; readonly at: number }[] {
    return this.#statements.waiting.all(webhookId, limit).map(([seq, at]) => ({ seq: Number(seq), at: Number(at) }));
  }

  find(id: DeliveryId): Delivery | null {
    const row = this.#statements.find.get(id);
    return row === undefined ? null : deliveryFrom(row);
  }

  /** The place of a delivery in the order in which they were put there, and whose it is; null: there is none. */
  placeOf(id: DeliveryId): { readonly seq: number; readonly webhookId: WebhookId } | null {
    const [seq, webhookId] = this.#statements.placeOf.get(id) ?? [];
    return seq === undefined ? null : { seq: Number(seq), webhookId: String(webhookId) as WebhookId };
  }

  /** Places of up to `limit` deliveries before this one, the latest first. */
  placesBefore(webhookId: WebhookId, status: DeliveryStatus, before: number, limit: number): readonly number[] {
    return this.#statements.before.all(webhookId, status, before, limit).map((row) => row[0] as number);
  }

  /** Likewise after this one, the earliest first. */
  placesAfter(webhookId: WebhookId, status: DeliveryStatus, after: number, limit: number): readonly number[] {
    return this.#statements.after.all(webhookId, status, after, limit).map((row) => row[0] as number);
  }

  /** Runs `look` on one instant of the database. */
  atOnce<Result>(look: () => Result): Result {
    return this.#connection.transaction(look)();
  }

  /** Those at these places, in this order; what is not there any more is left out. */
  at(places: readonly number[]): readonly Delivery[] {
    return places.flatMap((seq) => this.#statements.at.all(seq).map(deliveryFrom));
  }
}

const prepareAll = (connection: Database.Database, onFault: (error: unknown) => void) => {
  const db = drizzle(connection);
  const named = (name: string) => sql.placeholder(name);
  const read = (query: Parameters<typeof prepareRead>[1], names: readonly string[]) =>
    new WatchedStatement(prepareRead(connection, query, names), onFault);
  const whole = (condition: SQL) => db.select(pick(deliveries, DELIVERY_COLUMNS)).from(deliveries).where(condition);
  const places = (condition: SQL) =>
    db
      .select({ seq: deliveries.seq })
      .from(deliveries)
      .where(
        sql`${deliveries.webhookId} = ${named('webhookId')} AND ${deliveries.status} = ${named('status')} AND ${condition}`,
      )
      .limit(named('limit'));
  const placeNames = ['webhookId', 'status', 'place', 'limit'];
  const ofShard = sql`${deliveries.webhookId} = ${named('webhookId')} AND ${deliveries.shard}`;
  // In the conditions of partial indexes the literal is what lets SQLite use the index.
  const retrying = sql`${deliveries.status} = 'RETRYING'`;
  return {
    webhooks: read(db.select(pick(webhooks, WEBHOOK_COLUMNS)).from(webhooks).orderBy(asc(webhooks.seq)), []),
    position: read(
      db
        .select({ position: webhookShards.position })
        .from(webhookShards)
        .where(sql`${webhookShards.webhookId} = ${named('webhookId')} AND ${webhookShards.shard} = ${named('shard')}`),
      ['webhookId', 'shard'],
    ),
    pending: read(whole(sql`${ofShard} = ${named('shard')} AND ${retrying}`), ['webhookId', 'shard']),
    waiting: read(
      db
        .select({ seq: deliveries.seq, at: deliveries.nextAttemptAt })
        .from(deliveries)
        .where(sql`${ofShard} IS NULL AND ${retrying}`)
        .orderBy(asc(deliveries.nextAttemptAt), asc(deliveries.seq))
        .limit(named('limit')),
      ['webhookId', 'limit'],
    ),
    find: read(whole(sql`${deliveries.deliveryId} = ${named('deliveryId')}`), ['deliveryId']),
    placeOf: read(
      db
        .select({ seq: deliveries.seq, webhookId: deliveries.webhookId })
        .from(deliveries)
        .where(sql`${deliveries.deliveryId} = ${named('deliveryId')}`),
      ['deliveryId'],
    ),
    before: read(places(sql`${deliveries.seq} < ${named('place')}`).orderBy(desc(deliveries.seq)), placeNames),
    after: read(places(sql`${deliveries.seq} > ${named('place')}`).orderBy(asc(deliveries.seq)), placeNames),
    at: read(whole(sql`${deliveries.seq} = ${named('seq')}`), ['seq']),
  };
};
