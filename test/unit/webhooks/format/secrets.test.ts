import { expect, it } from 'vitest';
import { decodeStandardSecret, webhookSecrets } from '../../../../src/webhooks/format/secrets.ts';

it('creates different secrets of 32 bytes', () => {
  const made = Array.from({ length: 100 }, () => webhookSecrets.createSecret());
  expect(new Set(made).size).toBe(100);
  for (const secret of made) {
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(decodeStandardSecret(secret)).toHaveLength(32);
  }
});

it('decodes the Base64 of a secret and rejects any other form', () => {
  const key = Buffer.from([...Array(25).keys()].map((byte) => 250 - byte));
  expect(decodeStandardSecret(`whsec_${key.toString('base64')}`)).toEqual(key);
  expect(decodeStandardSecret('xxxxyyyy')).toBeNull();
});

it('creates different ids with the prefix of their type', () => {
  const webhooks = Array.from({ length: 100 }, () => webhookSecrets.createWebhookId());
  const deliveries = Array.from({ length: 100 }, () => webhookSecrets.createDeliveryId());
  expect(new Set([...webhooks, ...deliveries]).size).toBe(200);
  for (const id of webhooks) expect(id).toMatch(/^wh_[\w-]{22}$/);
  for (const id of deliveries) expect(id).toMatch(/^msg_[\w-]{22}$/);
});
