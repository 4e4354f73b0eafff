import { describe, expect, it } from 'vitest';
import { DomainError } from '../../src/core/errors.ts';
import type { WebhookFormat } from '../../src/core/vocabulary.ts';
import { standardKey, webhookSecrets } from '../../src/webhooks/secret.ts';

const of = (bytes: number): string => `whsec_${Buffer.alloc(bytes, 0xfb).toString('base64')}`;

const refusal = (format: WebhookFormat, secret: string): string | null => {
  try {
    webhookSecrets.check(format, secret);
    return null;
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    expect(error.fault).toEqual({ code: 'BAD_USER_INPUT' });
    return error.message;
  }
};

describe('a secret of STANDARD', () => {
  it('is made of 32 bytes, and never the same', () => {
    const made = Array.from({ length: 100 }, () => webhookSecrets.newSecret());
    expect(new Set(made).size).toBe(100);
    for (const secret of made) {
      expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
      expect(refusal('STANDARD', secret)).toBeNull();
      expect(standardKey(secret)).toHaveLength(32);
    }
  });

  it('has 24 to 64 bytes', () => {
    for (const bytes of [24, 25, 32, 63, 64]) expect(refusal('STANDARD', of(bytes)), `${bytes}`).toBeNull();
    for (const bytes of [0, 1, 23, 65, 4_096])
      expect(refusal('STANDARD', of(bytes)), `${bytes}`).toMatch(/24 to 64 bytes/);
  });

  it.each([
    ['nothing', ''],
    ['no prefix', of(24).slice('whsec_'.length)],
    ['another prefix', of(24).replace('whsec_', 'whpk_')],
    ['capitals in the prefix', of(24).replace('whsec_', 'WHSEC_')],
    ['no padding', of(25).replaceAll('=', '')],
    ['the alphabet of URLs', of(24).replaceAll('+', '-').replaceAll('/', '_')],
    ['a line end', `${of(24)}\n`],
    ['a space before', ` ${of(24)}`],
    ['a space within', of(24).replace('whsec_', 'whsec_ ')],
    ['spare bits that are set', `whsec_${'A'.repeat(33)}B==`],
    ['no Base64 at all', `whsec_${'ä'.repeat(40)}`],
  ])('is not %s', (_what, secret) => {
    const message = refusal('STANDARD', secret);
    expect(message).toMatch(/24 to 64 bytes/);
    if (secret !== '') expect(message).not.toContain(secret);
  });
});

describe('a secret of TENCENT', () => {
  it('is visible text', () => {
    for (const secret of ['xxxxyyyy', 'a', '~!"#\\', 'x'.repeat(128)]) expect(refusal('TENCENT', secret)).toBeNull();
  });

  it.each(['', 'x'.repeat(129), 'a b', 'a\n', '\u0000', 'ключ', ' a'])('is not %j', (secret) => {
    expect(refusal('TENCENT', secret)).toMatch(/1 to 128 visible/);
  });
});

it('ids are never the same, and say what they are of', () => {
  const webhooks = Array.from({ length: 100 }, () => webhookSecrets.newWebhookId());
  const deliveries = Array.from({ length: 100 }, () => webhookSecrets.newDeliveryId());
  expect(new Set([...webhooks, ...deliveries]).size).toBe(200);
  for (const id of webhooks) expect(id).toMatch(/^wh_[\w-]{22}$/);
  for (const id of deliveries) expect(id).toMatch(/^msg_[\w-]{22}$/);
});
