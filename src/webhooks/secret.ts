/** Ids and secrets of webhooks: made here, and secrets that others made looked at. */
import { randomBytes } from 'node:crypto';
import type { WebhookSecrets } from '../app/webhook-ports.ts';
import { badUserInput } from '../core/errors.ts';
import { deliveryId, webhookId } from '../core/ids.ts';
import type { WebhookFormat } from '../core/vocabulary.ts';

const ID_BYTES = 16;
const SECRET_BYTES = 32;
/** By the Standard Webhooks specification. */
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;
const PREFIX = 'whsec_';
/** What a person can see and copy: it is typed into two consoles. */
const TENCENT_TOKEN = /^[\x21-\x7e]{1,128}$/;

/** The key that a secret of STANDARD stands for; null for any other text, and for all but one way to write the same bytes. */
export const standardKey = (secret: string): Buffer | null => {
  if (!secret.startsWith(PREFIX)) return null;
  const text = secret.slice(PREFIX.length);
  const key = Buffer.from(text, 'base64');
  const fits = key.length >= MIN_SECRET_BYTES && key.length <= MAX_SECRET_BYTES;
  return fits && key.toString('base64') === text ? key : null;
};

// A secret is not repeated in the error that refuses it: errors are logged and shown.
const CHECKS: Readonly<Record<WebhookFormat, (secret: string) => void>> = {
  STANDARD: (secret) => {
    if (standardKey(secret) !== null) return;
    throw badUserInput(
      `The secret of a STANDARD webhook is ${PREFIX} and the Base64, with its padding, of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes.`,
    );
  },
  TENCENT: (secret) => {
    if (TENCENT_TOKEN.test(secret)) return;
    throw badUserInput('The secret of a TENCENT webhook is 1 to 128 visible ASCII characters, without spaces.');
  },
};

export const webhookSecrets: WebhookSecrets = {
  newWebhookId: () => webhookId(`wh_${randomBytes(ID_BYTES).toString('base64url')}`),
  newDeliveryId: () => deliveryId(`msg_${randomBytes(ID_BYTES).toString('base64url')}`),
  newSecret: () => `${PREFIX}${randomBytes(SECRET_BYTES).toString('base64')}`,
  check: (format, secret) => CHECKS[format](secret),
};
