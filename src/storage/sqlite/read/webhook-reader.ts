/** Reads committed webhooks and deliveries. The schema must be current: older files lack the tables. */
import type Database from 'better-sqlite3';
import { asc, desc, sql, type SQL } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { Delivery, IsolatedUser } from '../../../app/ports/webhook-store.ts';
import type { Cursor, DeliveryId, UserId, WebhookId } from '../../../core/ids.ts';
import type { Shard, WebhookRecord } from '../../../core/webhooks/webhook.ts';
import type { DeliveryStatus } from '../../../core/enums.ts';
import { pickColumns, prepareRead } from '../schema/statements.ts';
import {
  webhookDeliveries as deliveries,
  webhookIsolatedUsers as isolated,
  webhooks,
  webhookShards,
} from '../schema/tables.ts';
import { ReportingStatement } from '../schema/reporting-statement.ts';
import { DELIVERY_COLUMNS, deliveryFromRow, WEBHOOK_COLUMNS, webhookFromRow } from '../schema/webhook-rows.ts';

export class WebhookReader {
  readonly #connection: Database.Database;
  readonly #statements: ReturnType<typeof prepareStatements>;

  /** @param onError called with each error that a query throws. */
  constructor(connection: Database.Database, onError: (error: unknown) => void) {
    this.#connection = connection;
    this.#statements = prepareStatements(connection, onError);
  }

  /** Returns all webhooks in order of creation. */
  readWebhooks(): readonly WebhookRecord[] {
    return this.#statements.webhooks.all().map(webhookFromRow);
  }

  /** Returns null while the shard is at the start of its webhook. */
  readPosition(webhookId: WebhookId, shard: Shard): Cursor | null {
    return (this.#statements.position.get(webhookId, shard)?.[0] ?? null) as Cursor | null;
  }

  /** Returns the isolated users of a shard, with their pending deliveries. */
  readIsolatedUsers(webhookId: WebhookId, shard: Shard): readonly IsolatedUser[] {
    return this.#statements.isolated
      .all(webhookId, shard)
      .map(([userId, position, skippedThrough, deliveryId]): IsolatedUser => ({
        userId: userId as UserId,
        position: position as Cursor,
        skippedThrough: skippedThrough as Cursor | null,
        pendingDelivery: deliveryId === null ? null : this.findDelivery(deliveryId as DeliveryId),
      }));
  }

  /** Returns the RETRYING delivery that the shard waits for, which is not one of an isolated user. */
  findPendingDelivery(webhookId: WebhookId, shard: Shard): Delivery | null {
    const row = this.#statements.pending.get(webhookId, shard);
    return row === undefined ? null : deliveryFromRow(row);
  }

  /** Returns the first `limit` RETRYING deliveries of the null shard, earliest first, and when each is due. */
  listScheduledRedeliveries(
    webhookId: WebhookId,
    limit: number,
  ): readonly { readonly seq: number; readonly dueAt: number }[] {
    return this.#statements.waiting.all(webhookId, limit).map(([seq, at]) => ({ seq: Number(seq), dueAt: Number(at) }));
  }

  findDelivery(id: DeliveryId): Delivery | null {
    const row = this.#statements.find.get(id);
    return row === undefined ? null : deliveryFromRow(row);
  }

  /** Returns the seq of a delivery in order of creation, and its webhook. Null: unknown id. */
  findDeliverySortKey(id: DeliveryId): { readonly seq: number; readonly webhookId: WebhookId } | null {
    const [seq, webhookId] = this.#statements.sortKeyOf.get(id) ?? [];
    return seq === undefined ? null : { seq: Number(seq), webhookId: String(webhookId) as WebhookId };
  }

  /** Returns the seqs of up to `limit` deliveries before this one, latest first. */
  listSeqsBefore(webhookId: WebhookId, status: DeliveryStatus, before: number, limit: number): readonly number[] {
    return this.#statements.before.all(webhookId, status, before, limit).map((row) => row[0] as number);
  }

  /** Returns the seqs of up to `limit` deliveries after this one, earliest first. */
  listSeqsAfter(webhookId: WebhookId, status: DeliveryStatus, after: number, limit: number): readonly number[] {
    return this.#statements.after.all(webhookId, status, after, limit).map((row) => row[0] as number);
  }

  /** Runs `read` on one consistent state of the database. */
  readInTransaction<Result>(read: () => Result): Result {
    return this.#connection.transaction(read)();
  }

  /** Returns the deliveries with these seqs, in this order. Omits those that were removed. */
  readDeliveries(seqs: readonly number[]): readonly Delivery[] {
    return seqs.flatMap((seq) => this.#statements.at.all(seq).map(deliveryFromRow));
  }
}

const prepareStatements = (connection: Database.Database, onError: (error: unknown) => void) => {
  const db = drizzle(connection);
  const named = (name: string) => sql.placeholder(name);
  const read = (query: Parameters<typeof prepareRead>[1], names: readonly string[]) =>
    new ReportingStatement(prepareRead(connection, query, names), onError);
  const whole = (condition: SQL) =>
    db.select(pickColumns(deliveries, DELIVERY_COLUMNS)).from(deliveries).where(condition);
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
  // The literal in the condition allows SQLite to use the partial index.
  const retrying = sql`${deliveries.status} = 'RETRYING'`;
  return {
    webhooks: read(db.select(pickColumns(webhooks, WEBHOOK_COLUMNS)).from(webhooks).orderBy(asc(webhooks.seq)), []),
    position: read(
      db
        .select({ position: webhookShards.position })
        .from(webhookShards)
        .where(sql`${webhookShards.webhookId} = ${named('webhookId')} AND ${webhookShards.shard} = ${named('shard')}`),
      ['webhookId', 'shard'],
    ),
    pending: read(
      whole(
        sql`${ofShard} = ${named('shard')} AND ${retrying} AND NOT EXISTS (SELECT 1 FROM ${isolated}
          WHERE ${isolated.webhookId} = ${deliveries.webhookId} AND ${isolated.shard} = ${deliveries.shard}
          AND ${isolated.deliveryId} = ${deliveries.deliveryId})`,
      ),
      ['webhookId', 'shard'],
    ),
    isolated: read(
      db
        .select({
          userId: isolated.userId,
          position: isolated.position,
          skippedThrough: isolated.skippedThrough,
          deliveryId: isolated.deliveryId,
        })
        .from(isolated)
        .where(sql`${isolated.webhookId} = ${named('webhookId')} AND ${isolated.shard} = ${named('shard')}`)
        .orderBy(asc(isolated.userId)),
      ['webhookId', 'shard'],
    ),
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
    sortKeyOf: read(
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
