/** `webhooks`, `createWebhook`, `updateWebhook` and `deleteWebhook`. */
import { getNamedType, isObjectType } from 'graphql';
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/api/schema.ts';
import { HOOK } from '../app/webhooks/webhook-service-harness.ts';
import { secretOf } from '../app/webhooks/webhook-parts.ts';
import { ApiHarness } from './api-harness.ts';

const WEBHOOK = 'id url format reasons userStatusOnly state previousSecretValidUntil createdAt changedAt';
const CREATE = `mutation($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { ${WEBHOOK} } secret } }`;
const UPDATE = `mutation($input: UpdateWebhookInput!) { updateWebhook(input: $input) { webhook { ${WEBHOOK} } secret } }`;

interface WebhookResult {
  readonly webhook: Record<string, unknown> & { readonly id: string };
  readonly secret: string | null;
}

const create = async (harness: ApiHarness, input: object = {}): Promise<WebhookResult> =>
  (await harness.executeAsBackend<{ createWebhook: WebhookResult }>(CREATE, { input: { url: HOOK, ...input } }))
    .createWebhook;
const update = async (harness: ApiHarness, input: object): Promise<WebhookResult> =>
  (await harness.executeAsBackend<{ updateWebhook: WebhookResult }>(UPDATE, { input })).updateWebhook;
const read = async (harness: ApiHarness, id: string): Promise<unknown> =>
  (await harness.executeAsBackend<{ webhook: unknown }>(`query($id: ID!) { webhook(id: $id) { ${WEBHOOK} } }`, { id }))
    .webhook;

describe('createWebhook', () => {
  it('returns the webhook and its secret', async () => {
    const harness = new ApiHarness();
    const { webhook, secret } = await create(harness);
    expect(webhook).toEqual({
      id: 'webhook-1',
      url: HOOK,
      format: 'STANDARD',
      reasons: null,
      userStatusOnly: false,
      state: 'ACTIVE',
      previousSecretValidUntil: null,
      createdAt: '2026-01-01T00:00:00.000Z',
      changedAt: '2026-01-01T00:00:00.000Z',
    });
    expect(secret).toBe(secretOf(0));
    expect(await read(harness, 'webhook-1')).toEqual(webhook);
    expect(await harness.executeAsBackend(`{ webhooks { ${WEBHOOK} } }`)).toEqual({ webhooks: [webhook] });
  });

  it('accepts all fields', async () => {
    const input = { reasons: ['KICKED', 'LOGIN'], userStatusOnly: true, format: 'TENCENT' };
    const { webhook, secret } = await create(new ApiHarness(), { ...input, secret: 'a token' });
    expect(webhook).toMatchObject(input);
    expect(secret).toBe('a token');
    expect((await create(new ApiHarness(), { format: 'TENCENT' })).secret).toBeNull();
  });

  it.each<[string, object]>([
    ['a null URL', { url: null }],
    ['a URL that is not allowed', { url: 'http://chat.example' }],
    ['an unknown reason', { reasons: ['LATE'] }],
    ['a null reason', { reasons: [null] }],
    ['an empty list of reasons', { reasons: [] }],
    ['an unknown format', { format: 'XML' }],
    ['a malformed secret', { secret: 'x' }],
    ['an unknown field', { state: 'ACTIVE' }],
  ])('is answered BAD_USER_INPUT for %s, and creates nothing', async (_what, input) => {
    const harness = new ApiHarness();
    expect((await harness.execute(CREATE, { variables: { input: { url: HOOK, ...input } } })).codes).toEqual([
      'BAD_USER_INPUT',
    ]);
    expect(await harness.executeAsBackend('{ webhooks { id } }')).toEqual({ webhooks: [] });
    expect(harness.internalErrors).toEqual([]);
  });
});

describe('updateWebhook', () => {
  it('changes only the given fields', async () => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness, { reasons: ['LOGIN'], userStatusOnly: true });
    harness.clock.advance(1_500);
    const changed = { ...webhook, state: 'PAUSED', changedAt: '2026-01-01T00:00:01.500Z' };
    expect(await update(harness, { id: webhook.id, enabled: false })).toEqual({ webhook: changed, secret: null });
    expect((await update(harness, { id: webhook.id, reasons: null })).webhook).toEqual({ ...changed, reasons: null });
    const all = { url: 'https://other.example', reasons: ['LOGOUT'], userStatusOnly: false, enabled: true };
    const { enabled: _enabled, ...after } = all;
    expect((await update(harness, { id: webhook.id, ...all })).webhook).toEqual({
      ...webhook,
      ...after,
      changedAt: changed.changedAt,
    });
  });

  it('treats a missing variable as an omitted field', async () => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness, { reasons: ['LOGIN'] });
    const document = `mutation($id: ID!, $url: String, $reasons: [EventReason!], $on: Boolean) {
      updateWebhook(input: {id: $id, url: $url, reasons: $reasons, enabled: $on}) { webhook { ${WEBHOOK} } }
    }`;
    const result = await harness.executeAsBackend<{ updateWebhook: WebhookResult }>(document, { id: webhook.id });
    expect(result.updateWebhook.webhook).toEqual(webhook);
    const { codes } = await harness.execute(document, { variables: { id: webhook.id, url: null } });
    expect(codes).toEqual(['BAD_USER_INPUT']);
  });

  it('rotates the secret, and returns until when the previous one is valid', async () => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness);
    const rotated = await update(harness, { id: webhook.id, rotateSecret: true, previousSecretValidMs: 2_592_000_000 });
    expect(rotated.secret).toBe(secretOf(1));
    expect(rotated.webhook['previousSecretValidUntil']).toBe('2026-01-31T00:00:00.000Z');
    harness.clock.advance(2_592_000_000 - 1);
    expect(await read(harness, webhook.id)).toMatchObject({ previousSecretValidUntil: '2026-01-31T00:00:00.000Z' });
    harness.clock.advance(1);
    expect(await read(harness, webhook.id)).toMatchObject({ previousSecretValidUntil: null });
    const given = await update(harness, { id: webhook.id, secret: secretOf(9) });
    expect(given.secret).toBe(secretOf(9));
    expect(given.webhook['previousSecretValidUntil']).toBe('2026-02-01T00:00:00.000Z');
  });

  it.each<[string, object]>([
    ['a null id', { id: null }],
    ['an empty id', { id: '' }],
    ['an unknown webhook', { id: 'webhook-9' }],
    ['a null URL', { url: null }],
    ['a null format', { format: null }],
    ['null for enabled', { enabled: null }],
    ['null for userStatusOnly', { userStatusOnly: null }],
    ['a null secret of a STANDARD webhook', { secret: null }],
    ['the current secret', { secret: secretOf(0) }],
    ['secret together with rotateSecret', { secret: secretOf(1), rotateSecret: true }],
    ['a validity of 31 days', { rotateSecret: true, previousSecretValidMs: 31 * 86_400_000 }],
    ['a validity as text', { rotateSecret: true, previousSecretValidMs: '1d' }],
  ])('is answered BAD_USER_INPUT for %s, and changes nothing', async (_what, input) => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness);
    const variables = { input: { id: webhook.id, reasons: ['LOGIN'], ...input } };
    expect((await harness.execute(UPDATE, { variables })).codes).toEqual(['BAD_USER_INPUT']);
    expect(await read(harness, webhook.id)).toEqual(webhook);
    expect(harness.internalErrors).toEqual([]);
  });
});

describe('deleteWebhook', () => {
  it('returns the deleted webhook, which no longer exists', async () => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness);
    const document = `mutation { deleteWebhook(input: {id: "webhook-1"}) { webhook { ${WEBHOOK} } } }`;
    expect(await harness.executeAsBackend(document)).toEqual({ deleteWebhook: { webhook } });
    expect(await read(harness, webhook.id)).toBeNull();
    expect((await harness.execute(document)).codes).toEqual(['BAD_USER_INPUT']);
  });
});

describe('a secret', () => {
  it('is only a field of the payloads that create one', () => {
    const secretFields = Object.values(schema.getTypeMap())
      .filter(isObjectType)
      .flatMap((type) => Object.values(type.getFields()).map((field) => ({ type, field })))
      .filter(({ field }) => /secret/i.test(field.name) && getNamedType(field.type).name === 'String')
      .map(({ type, field }) => `${type.name}.${field.name}`);
    expect(secretFields.sort()).toEqual(['CreateWebhookPayload.secret', 'UpdateWebhookPayload.secret']);
  });

  it('is never returned later, also not in errors', async () => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness);
    await update(harness, { id: webhook.id, rotateSecret: true });
    const output = JSON.stringify([
      await update(harness, { id: webhook.id, enabled: false }),
      await harness.execute(UPDATE, { variables: { input: { id: webhook.id, secret: secretOf(1) } } }),
      await harness.execute(UPDATE, { variables: { input: { id: webhook.id, secret: 'whsec_AAAAAAAA' } } }),
      await harness.execute(`{ webhooks { ${WEBHOOK} } }`),
      await harness.execute('mutation { testWebhook(input: {id: "webhook-1"}) { delivery { id lastError } } }'),
      await harness.execute('mutation { deleteWebhook(input: {id: "webhook-1"}) { webhook { id } } }'),
    ]);
    expect(output).not.toMatch(/AAAAA|BBBBB/);
  });
});
