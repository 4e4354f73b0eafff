/** Ids and secrets of webhooks: made here. What a secret must look like says core. */
import { randomBytes } from 'node:crypto';
import type { WebhookSecrets } from '../../app/ports/webhook-store.ts';
import { deliveryId, webhookId } from '../../core/ids.ts';
import { isStandardSecret, SECRET_PREFIX } from '../../core/webhooks/webhook-secret.ts';

const ID_BYTES = 16;
const SECRET_BYTES = 32;

/** The key that a secret of STANDARD stands for; null for any other text. */
export const standardKey = (secret: string): Buffer | null =>
  isStandardSecret(secret) ? Buffer.from(secret.slice(SECRET_PREFIX.length), 'base64') : null;

export const webhookSecrets: WebhookSecrets = {
  newWebhookId: () => webhookId(`wh_${randomBytes(ID_BYTES).toString('base64url')}`),
  newDeliveryId: () => deliveryId(`msg_${randomBytes(ID_BYTES).toString('base64url')}`),
  newSecret: () => `${SECRET_PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`,
};
