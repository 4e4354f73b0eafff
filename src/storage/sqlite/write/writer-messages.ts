/** What the main thread and the writer's thread say to each other. Answers come in the order of the questions. */
import type { FlatRows } from '../schema/rows.ts';

export interface WriterInput {
  readonly path: string;
}

/** One step of what is written of webhooks; rows as webhook-rows.ts has them. */
export type WebhookWrite =
  /** Put there, or in the place of the one that there is. */
  | { readonly kind: 'webhook' | 'position' | 'delivery'; readonly row: FlatRows }
  | { readonly kind: 'delete'; readonly webhookId: string };

/**
 * One transaction: rows of each kind, one after another. What times out by the thousand has kinds of its
 * own, of the few columns that changed: they update rows that are there.
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
  /** In this order. */
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

/** What one bounded portion of the retention's work did. */
export interface PurgeResult {
  readonly purgedThrough: number;
  /** Is there more to remove by that moment? */
  readonly hasMore: boolean;
}

export type WriterRequest =
  | { readonly kind: 'commit'; readonly batch: CommitBatch }
  | { readonly kind: 'purge'; readonly purge: PurgeRequest }
  /** Is the file still there? */
  | { readonly kind: 'check' }
  | { readonly kind: 'close' };

export type WriterReply =
  /** The first message of all: the connection is open. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly purged: PurgeResult | null }
  /** The transaction was rolled back. `fatal`: the file cannot be trusted to hold what is written from here on. */
  | { readonly kind: 'failed'; readonly message: string; readonly fatal: boolean }
  | { readonly kind: 'closed' };
