/** Webhooks as backends read and change them. */
import { getNamedType, isObjectType } from 'graphql';
import { describe, expect, it } from 'vitest';
import { schema } from '../../../src/api/schema.ts';
import { HOOK } from '../app/webhooks/webhook-service-harness.ts';
import { secretOf } from '../app/webhooks/webhook-parts.ts';
import { World } from './api-harness.ts';

const WEBHOOK = 'id url format reasons userStatusOnly state previousSecretValidUntil createdAt changedAt';
const CREATE = `mutation($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { ${WEBHOOK} } secret } }`;
const UPDATE = `mutation($input: UpdateWebhookInput!) { updateWebhook(input: $input) { webhook { ${WEBHOOK} } secret } }`;

interface Shown {
  readonly webhook: Record<string, unknown> & { readonly id: string };
  readonly secret: string | null;
}

const create = async (world: World, input: object = {}): Promise<Shown> =>
  (await world.backend<{ createWebhook: Shown }>(CREATE, { input: { url: HOOK, ...input } })).createWebhook;
const update = async (world: World, input: object): Promise<Shown> =>
  (await world.backend<{ updateWebhook: Shown }>(UPDATE, { input })).updateWebhook;
const read = async (world: World, id: string): Promise<unknown> =>
  (await world.backend<{ webhook: unknown }>(`query($id: ID!) { webhook(id: $id) { ${WEBHOOK} } }`, { id })).webhook;

describe('createWebhook', () => {
  it('answers with the webhook, and with its secret', async () => {
    const world = new World();
    const { webhook, secret } = await create(world);
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
    expect(await read(world, 'webhook-1')).toEqual(webhook);
    expect(await world.backend(`{ webhooks { ${WEBHOOK} } }`)).toEqual({ webhooks: [webhook] });
  });

  it('takes everything that can be asked for', async () => {
    const input = { reasons: ['KICKED', 'LOGIN'], userStatusOnly: true, format: 'TENCENT' };
    const { webhook, secret } = await create(new World(), { ...input, secret: 'a token' });
    expect(webhook).toMatchObject(input);
    expect(secret).toBe('a token');
    expect((await create(new World(), { format: 'TENCENT' })).secret).toBeNull();
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
    const world = new World();
    expect((await world.ask(CREATE, { variables: { input: { url: HOOK, ...input } } })).codes).toEqual([
      'BAD_USER_INPUT',
    ]);
    expect(await world.backend('{ webhooks { id } }')).toEqual({ webhooks: [] });
    expect(world.faults).toEqual([]);
  });
});

describe('updateWebhook', () => {
  it('changes what is given, and leaves what is left out', async () => {
    const world = new World();
    const { webhook } = await create(world, { reasons: ['LOGIN'], userStatusOnly: true });
    world.clock.advance(1_500);
    const changed = { ...webhook, state: 'PAUSED', changedAt: '2026-01-01T00:00:01.500Z' };
    expect(await update(world, { id: webhook.id, enabled: false })).toEqual({ webhook: changed, secret: null });
    expect((await update(world, { id: webhook.id, reasons: null })).webhook).toEqual({ ...changed, reasons: null });
    const all = { url: 'https://other.example', reasons: ['LOGOUT'], userStatusOnly: false, enabled: true };
    const { enabled: _enabled, ...after } = all;
    expect((await update(world, { id: webhook.id, ...all })).webhook).toEqual({
      ...webhook,
      ...after,
      changedAt: changed.changedAt,
    });
  });

  it('takes a variable that is not there for left out', async () => {
    const world = new World();
    const { webhook } = await create(world, { reasons: ['LOGIN'] });
    const document = `mutation($id: ID!, $url: String, $reasons: [EventReason!], $on: Boolean) {
      updateWebhook(input: {id: $id, url: $url, reasons: $reasons, enabled: $on}) { webhook { ${WEBHOOK} } }
    }`;
    const asked = await world.backend<{ updateWebhook: Shown }>(document, { id: webhook.id });
    expect(asked.updateWebhook.webhook).toEqual(webhook);
    const { codes } = await world.ask(document, { variables: { id: webhook.id, url: null } });
    expect(codes).toEqual(['BAD_USER_INPUT']);
  });

  it('rotates the secret, and says until when the one before is good', async () => {
    const world = new World();
    const { webhook } = await create(world);
    const rotated = await update(world, { id: webhook.id, rotateSecret: true, previousSecretValidMs: 2_592_000_000 });
    expect(rotated.secret).toBe(secretOf(1));
    expect(rotated.webhook['previousSecretValidUntil']).toBe('2026-01-31T00:00:00.000Z');
    world.clock.advance(2_592_000_000 - 1);
    expect(await read(world, webhook.id)).toMatchObject({ previousSecretValidUntil: '2026-01-31T00:00:00.000Z' });
    world.clock.advance(1);
    expect(await read(world, webhook.id)).toMatchObject({ previousSecretValidUntil: null });
    const given = await update(world, { id: webhook.id, secret: secretOf(9) });
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
    const world = new World();
    const { webhook } = await create(world);
    const variables = { input: { id: webhook.id, reasons: ['LOGIN'], ...input } };
    expect((await world.ask(UPDATE, { variables })).codes).toEqual(['BAD_USER_INPUT']);
    expect(await read(world, webhook.id)).toEqual(webhook);
    expect(world.faults).toEqual([]);
  });
});

describe('deleteWebhook', () => {
  it('tells what was deleted, and finds it no more', async () => {
    const world = new World();
    const { webhook } = await create(world);
    const document = `mutation { deleteWebhook(input: {id: "webhook-1"}) { webhook { ${WEBHOOK} } } }`;
    expect(await world.backend(document)).toEqual({ deleteWebhook: { webhook } });
    expect(await read(world, webhook.id)).toBeNull();
    expect((await world.ask(document)).codes).toEqual(['BAD_USER_INPUT']);
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
    const world = new World();
    const { webhook } = await create(world);
    await update(world, { id: webhook.id, rotateSecret: true });
    const told = JSON.stringify([
      await update(world, { id: webhook.id, enabled: false }),
      await world.ask(UPDATE, { variables: { input: { id: webhook.id, secret: secretOf(1) } } }),
      await world.ask(UPDATE, { variables: { input: { id: webhook.id, secret: 'whsec_AAAAAAAA' } } }),
      await world.ask(`{ webhooks { ${WEBHOOK} } }`),
      await world.ask('mutation { testWebhook(input: {id: "webhook-1"}) { delivery { id lastError } } }'),
      await world.ask('mutation { deleteWebhook(input: {id: "webhook-1"}) { webhook { id } } }'),
    ]);
    expect(told).not.toMatch(/AAAAA|BBBBB/);
  });
});
