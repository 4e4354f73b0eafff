/** Creates the ids and secrets of webhooks. core/webhooks defines which secrets are valid. */
import { randomBytes } from 'node:crypto';
import type { WebhookIdFactory } from '../../app/ports/webhook-store.ts';
import { parseDeliveryId, parseWebhookId } from '../../core/ids.ts';
import { isValidStandardSecret, STANDARD_SECRET_PREFIX } from '../../core/webhooks/webhook-secret.ts';

const ID_BYTES = 16;
const SECRET_BYTES = 32;

/** @returns the HMAC key of a STANDARD secret; null for any other text. */
export const decodeStandardSecret = (secret: string): Buffer | null =>
  isValidStandardSecret(secret) ? Buffer.from(secret.slice(STANDARD_SECRET_PREFIX.length), 'base64') : null;

export const webhookSecrets: WebhookIdFactory = {
  createWebhookId: () => parseWebhookId(`wh_${randomBytes(ID_BYTES).toString('base64url')}`),
  createDeliveryId: () => parseDeliveryId(`msg_${randomBytes(ID_BYTES).toString('base64url')}`),
  createSecret: () => `${STANDARD_SECRET_PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`,
};
