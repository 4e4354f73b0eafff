/** Webhooks as backends read and change them. */
import { getNamedType, isObjectType } from 'graphql';
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/api/schema.ts';
import { HOOK } from '../app/webhooks/webhook-service-harness.ts';
import { secretOf } from '../app/webhooks/webhook-parts.ts';
import { ApiHarness } from './api-harness.ts';

const WEBHOOK = 'id url format reasons userStatusOnly state previousSecretValidUntil createdAt changedAt';
const CREATE = `mutation($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { ${WEBHOOK} } secret } }`;
const UPDATE = `mutation($input: UpdateWebhookInput!) { updateWebhook(input: $input) { webhook { ${WEBHOOK} } secret } }`;

interface Shown {
  readonly webhook: Record<string, unknown> & { readonly id: string };
  readonly secret: string | null;
}

const create = async (harness: ApiHarness, input: object = {}): Promise<Shown> =>
  (await harness.backend<{ createWebhook: Shown }>(CREATE, { input: { url: HOOK, ...input } })).createWebhook;
const update = async (harness: ApiHarness, input: object): Promise<Shown> =>
  (await harness.backend<{ updateWebhook: Shown }>(UPDATE, { input })).updateWebhook;
const read = async (harness: ApiHarness, id: string): Promise<unknown> =>
  (await harness.backend<{ webhook: unknown }>(`query($id: ID!) { webhook(id: $id) { ${WEBHOOK} } }`, { id })).webhook;

describe('createWebhook', () => {
  it('answers with the webhook, and with its secret', async () => {
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
    expect(await harness.backend(`{ webhooks { ${WEBHOOK} } }`)).toEqual({ webhooks: [webhook] });
  });

  it('takes everything that can be asked for', async () => {
    const input = { reasons: ['KICKED', 'LOGIN'], userStatusOnly: true, format: 'TENCENT' };
    const { webhook, secret } = await create(new ApiHarness(), { ...input, secret: 'a token' });
    expect(webhook).toMatchObject(input);
    expect(secret).toBe('a token');
    expect((await create(new ApiHarness(), { format: 'TENCENT' })).secret).toBeNull();
  });

  it.each<[string, object]>([
    ['no URL', { url: null }],
    ['a URL that will not do', { url: 'http://chat.example' }],
    ['a reason unheard of', { reasons: ['LATE'] }],
    ['a hole in the reasons', { reasons: [null] }],
    ['no reasons', { reasons: [] }],
    ['a format unheard of', { format: 'XML' }],
    ['a secret that is none', { secret: 'x' }],
    ['something unknown', { state: 'ACTIVE' }],
  ])('%s: BAD_USER_INPUT, and nothing is made', async (_what, input) => {
    const harness = new ApiHarness();
    expect((await harness.ask(CREATE, { variables: { input: { url: HOOK, ...input } } })).codes).toEqual([
      'BAD_USER_INPUT',
    ]);
    expect(await harness.backend('{ webhooks { id } }')).toEqual({ webhooks: [] });
    expect(harness.faults).toEqual([]);
  });
});

describe('updateWebhook', () => {
  it('changes what is given, and leaves what is left out', async () => {
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

  it('takes a variable that is not there for left out', async () => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness, { reasons: ['LOGIN'] });
    const document = `mutation($id: ID!, $url: String, $reasons: [EventReason!], $on: Boolean) {
      updateWebhook(input: {id: $id, url: $url, reasons: $reasons, enabled: $on}) { webhook { ${WEBHOOK} } }
    }`;
    const asked = await harness.backend<{ updateWebhook: Shown }>(document, { id: webhook.id });
    expect(asked.updateWebhook.webhook).toEqual(webhook);
    const { codes } = await harness.ask(document, { variables: { id: webhook.id, url: null } });
    expect(codes).toEqual(['BAD_USER_INPUT']);
  });

  it('rotates the secret, and says until when the one before is good', async () => {
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
    ['no id', { id: null }],
    ['an id of nothing', { id: '' }],
    ['a webhook that there is not', { id: 'webhook-9' }],
    ['a URL that is null', { url: null }],
    ['a format that is null', { format: null }],
    ['enabled that is null', { enabled: null }],
    ['userStatusOnly that is null', { userStatusOnly: null }],
    ['a secret that is null', { secret: null }],
    ['the secret that it has', { secret: secretOf(0) }],
    ['two secrets', { secret: secretOf(1), rotateSecret: true }],
    ['31 days', { rotateSecret: true, previousSecretValidMs: 31 * 86_400_000 }],
    ['a time in words', { rotateSecret: true, previousSecretValidMs: '1d' }],
  ])('%s: BAD_USER_INPUT, and nothing is changed', async (_what, input) => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness);
    const variables = { input: { id: webhook.id, reasons: ['LOGIN'], ...input } };
    expect((await harness.ask(UPDATE, { variables })).codes).toEqual(['BAD_USER_INPUT']);
    expect(await read(harness, webhook.id)).toEqual(webhook);
    expect(harness.faults).toEqual([]);
  });
});

describe('deleteWebhook', () => {
  it('tells what was deleted, and finds it no more', async () => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness);
    const document = `mutation { deleteWebhook(input: {id: "webhook-1"}) { webhook { ${WEBHOOK} } } }`;
    expect(await harness.backend(document)).toEqual({ deleteWebhook: { webhook } });
    expect(await read(harness, webhook.id)).toBeNull();
    expect((await harness.ask(document)).codes).toEqual(['BAD_USER_INPUT']);
  });
});

describe('a secret', () => {
  it('is in no type but the answers to those who make one', () => {
    const telling = Object.values(schema.getTypeMap())
      .filter(isObjectType)
      .flatMap((type) => Object.values(type.getFields()).map((field) => ({ type, field })))
      .filter(({ field }) => /secret/i.test(field.name) && getNamedType(field.type).name === 'String')
      .map(({ type, field }) => `${type.name}.${field.name}`);
    expect(telling.sort()).toEqual(['CreateWebhookPayload.secret', 'UpdateWebhookPayload.secret']);
  });

  it('is never read again, not even where it is refused', async () => {
    const harness = new ApiHarness();
    const { webhook } = await create(harness);
    await update(harness, { id: webhook.id, rotateSecret: true });
    const told = JSON.stringify([
      await update(harness, { id: webhook.id, enabled: false }),
      await harness.ask(UPDATE, { variables: { input: { id: webhook.id, secret: secretOf(1) } } }),
      await harness.ask(UPDATE, { variables: { input: { id: webhook.id, secret: 'whsec_AAAAAAAA' } } }),
      await harness.ask(`{ webhooks { ${WEBHOOK} } }`),
      await harness.ask('mutation { testWebhook(input: {id: "webhook-1"}) { delivery { id lastError } } }'),
      await harness.ask('mutation { deleteWebhook(input: {id: "webhook-1"}) { webhook { id } } }'),
    ]);
    expect(told).not.toMatch(/AAAAA|BBBBB/);
  });
});
