/** Signatures by the Standard Webhooks convention, version 1. */
import { createHmac } from 'node:crypto';
import type { DeliveryId } from '../../core/ids.ts';

/**
 * What `webhook-signature` says: one signature per key, so that a receiver who knows any of them is satisfied.
 * @param timestamp seconds since 1970, as `webhook-timestamp` says it.
 */
export const signatures = (keys: readonly Buffer[], id: DeliveryId, timestamp: number, body: string): string =>
  keys
    .map((key) => `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`, 'utf8').digest('base64')}`)
    .join(' ');
