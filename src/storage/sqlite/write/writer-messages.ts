/** What the main thread and the writer's thread say to each other. Answers come in the order of the questions. */
import type { Flat } from '../schema/rows.ts';

export interface WriterData {
  readonly path: string;
}

/** One step of what is written of webhooks; rows as webhook-rows.ts has them. */
export type WebhookWrite =
  /** Put there, or in the place of the one that there is. */
  | { readonly kind: 'webhook' | 'position' | 'delivery'; readonly row: Flat }
  | { readonly kind: 'delete'; readonly webhookId: string };

/**
 * One transaction: rows of each kind, one after another. What times out by the thousand has kinds of its
 * own, of the few columns that changed: they update rows that are there.
 */
export interface Batch {
  readonly touches: Flat;
  readonly users: Flat;
  readonly statuses: Flat;
  readonly sessions: Flat;
  readonly drops: Flat;
  readonly ended: Flat;
  readonly justEnded: Flat;
  readonly events: Flat;
  readonly meta: Flat;
  /** In this order. */
  readonly webhooks: WebhookWrite[];
}

export const emptyBatch = (): Batch => ({
  touches: [],
  users: [],
  statuses: [],
  sessions: [],
  drops: [],
  ended: [],
  justEnded: [],
  events: [],
  meta: [],
  webhooks: [],
});

export interface PurgeOrder {
  readonly now: number;
  readonly eventRetentionMs: number;
}

/** What one bounded portion of the retention's work did. */
export interface Purged {
  readonly purgedThrough: number;
  /** Is there more to remove by that moment? */
  readonly more: boolean;
}

export type Order =
  | { readonly kind: 'commit'; readonly batch: Batch }
  | { readonly kind: 'purge'; readonly purge: PurgeOrder }
  /** Is the file still there? */
  | { readonly kind: 'check' }
  | { readonly kind: 'close' };

export type Reply =
  /** The first message of all: the connection is open. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly purged: Purged | null }
  /** The transaction was rolled back. `fatal`: the file cannot be trusted to hold what is written from here on. */
  | { readonly kind: 'failed'; readonly message: string; readonly fatal: boolean }
  | { readonly kind: 'closed' };
