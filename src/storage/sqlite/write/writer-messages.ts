/** The messages between the main thread and the writer thread. Replies arrive in the order of the requests. */
import type { FlatRows } from '../schema/rows.ts';

export interface WriterWorkerData {
  readonly path: string;
}

/** One write to the webhook tables; rows as defined in webhook-rows.ts. */
export type WebhookWrite =
  /** Inserts the row or replaces the existing one. */
  | { readonly kind: 'webhook' | 'position' | 'delivery' | 'isolated-user'; readonly row: FlatRows }
  /** Deletes one row: the webhook id, the shard and the user id. */
  | { readonly kind: 'rejoined-user'; readonly key: FlatRows }
  | { readonly kind: 'delete'; readonly webhookId: string };

/**
 * The content of one transaction: rows of each kind, one after another. Changes that occur by the thousand at a
 * timeout have their own kinds. These contain only the changed columns and update existing rows.
 */
export interface CommitBatch {
  readonly lastSeen: FlatRows;
  readonly users: FlatRows;
  readonly statuses: FlatRows;
  readonly sessions: FlatRows;
  readonly disconnects: FlatRows;
  readonly endedSessions: FlatRows;
  readonly sessionEnds: FlatRows;
  readonly events: FlatRows;
  readonly meta: FlatRows;
  /** Written in this order. */
  readonly webhooks: WebhookWrite[];
}

export const createEmptyBatch = (): CommitBatch => ({
  lastSeen: [],
  users: [],
  statuses: [],
  sessions: [],
  disconnects: [],
  endedSessions: [],
  sessionEnds: [],
  events: [],
  meta: [],
  webhooks: [],
});

export interface PurgeRequest {
  readonly now: number;
  readonly eventRetentionMs: number;
}

/** The result of one bounded portion of retention. */
export interface PurgeResult {
  readonly purgedThrough: number;
  /** Is there more to remove at this time? */
  readonly hasMore: boolean;
}

export type WriterRequest =
  | { readonly kind: 'commit'; readonly batch: CommitBatch }
  | { readonly kind: 'purge'; readonly purge: PurgeRequest }
  /** Checks that the open file is still the one at its path. */
  | { readonly kind: 'check' }
  | { readonly kind: 'close' };

export type WriterReply =
  /** The first message: the connection is open. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly purgeResult: PurgeResult | null }
  /** The transaction was rolled back. `fatal`: the file can no longer be trusted. */
  | { readonly kind: 'failed'; readonly message: string; readonly fatal: boolean }
  | { readonly kind: 'closed' };
