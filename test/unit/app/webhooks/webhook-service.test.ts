/** Creating, changing and deleting webhooks: results, errors, and that a failure changes nothing. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { MAX_WEBHOOKS } from '../../../../src/app/ports/webhook-store.ts';
import type { CreateWebhookRequest, UpdateWebhookRequest } from '../../../../src/app/webhooks/webhook-service.ts';
import { addMs, parseWebhookId } from '../../../../src/core/ids.ts';
import type { WebhookState } from '../../../../src/core/enums.ts';
import { listValidSecrets, type WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { DAY, START } from '../support/fake-store.ts';
import { secretOf } from './webhook-parts.ts';
import { HOOK, refusal, WebhookStage } from './webhook-service-harness.ts';

const UNKNOWN = parseWebhookId('unknown');

let harness: WebhookStage;

beforeEach(() => {
  harness = new WebhookStage();
});

describe('a new webhook', () => {
  it('is ACTIVE, has the format STANDARD and a new secret, and receives all events from now on', async () => {
    await harness.login();
    const start = await harness.store.eventLog.getLatestCursor();
    expect(await harness.webhooks.createWebhook({ url: HOOK })).toEqual({
      webhook: {
        id: 'webhook-1',
        url: HOOK,
        format: 'STANDARD',
        secret: secretOf(0),
        previousSecret: null,
        reasons: null,
        userStatusOnly: false,
        state: 'ACTIVE',
        createdAt: START,
        changedAt: START,
        startCursor: start,
      },
      secret: secretOf(0),
    });
    expect(await harness.kept(parseWebhookId('webhook-1'))).toMatchObject({ url: HOOK, startCursor: start });
  });

  it('has the given settings', async () => {
    const asked: CreateWebhookRequest = {
      url: HOOK,
      secret: secretOf(7),
      reasons: ['LOGOUT', 'LOGIN'],
      userStatusOnly: true,
    };
    const { webhook, secret } = await harness.webhooks.createWebhook(asked);
    expect(webhook).toMatchObject({ ...asked, format: 'STANDARD' });
    expect(secret).toBe(secretOf(7));
  });

  it('treats null as left out', async () => {
    const asked = { secret: null, reasons: null, userStatusOnly: null, format: null };
    expect(await harness.create(asked)).toMatchObject({
      secret: secretOf(0),
      reasons: null,
      userStatusOnly: false,
      format: 'STANDARD',
    });
  });

  it('of the format TENCENT is unsigned without a token, and signed with any token', async () => {
    expect(await harness.webhooks.createWebhook({ url: HOOK, format: 'TENCENT' })).toMatchObject({
      webhook: { format: 'TENCENT', secret: null },
      secret: null,
    });
    expect(await harness.webhooks.createWebhook({ url: HOOK, format: 'TENCENT', secret: '令牌' })).toMatchObject({
      secret: '令牌',
    });
  });

  it('keeps its URL as given', async () => {
    const url = 'HTTPS://Chat.Example:443/a%2fb/../c?x=1&y=%E4%BD%A0';
    expect((await harness.create({ url })).url).toBe(url);
    const longest = `${HOOK}/${'x'.repeat(2_048 - HOOK.length - 1)}`;
    expect((await harness.create({ url: longest })).url).toBe(longest);
  });

  it.each<[string, Partial<CreateWebhookRequest>, RegExp]>([
    ['no URL', { url: '' }, /^url is not a valid URL/],
    ['a path', { url: '/hook' }, /^url is not a valid URL/],
    ['a host that is none', { url: 'https://a b.example/' }, /^url is not a valid URL/],
    [
      'a URL with a line break that a parser would leave out',
      { url: 'https://chat.exa\nmple/' },
      /^url has a control character\.$/,
    ],
    ['a URL with a control character', { url: `${HOOK}/a\u0000b` }, /^url has a control character\.$/],
    [
      'a URL with a lone surrogate',
      { url: `${HOOK}/a\ud800` },
      /^url has a lone surrogate, which is not valid Unicode\.$/,
    ],
    ['a URL with a space before it', { url: ` ${HOOK}` }, /^url is not a valid URL/],
    ['a URL that is too long', { url: `${HOOK}/${'x'.repeat(2_048)}` }, /^url is longer than 2048 characters/],
    ['a URL that nothing may be sent to', { url: 'http://chat.example' }, /^url is not allowed\. It must be https\.$/],
    ['an address of our own', { url: 'https://localhost/' }, /^url is not allowed\. localhost is not public\.$/],
    ['no reasons', { reasons: [] }, /^reasons is empty/],
    ['a reason twice', { reasons: ['LOGIN', 'LOGOUT', 'LOGIN'] }, /^reasons names LOGIN twice/],
    ['a secret of another form', { secret: 'open sesame' }, /^secret must be whsec_/],
    ['an empty secret', { secret: '' }, /^secret must be whsec_/],
    ['an empty token', { secret: '', format: 'TENCENT' }, /^secret is empty/],
  ])('%s: refused, and nothing is made', async (_what, asked, why) => {
    const message = await refusal(harness.create(asked));
    expect(message).toMatch(why);
    expect(message).not.toContain('sesame');
    expect(await harness.webhooks.listWebhooks()).toEqual([]);
  });

  it('of a disabled format is rejected with the option that enables it', async () => {
    harness = new WebhookStage(['STANDARD']);
    expect(await refusal(harness.create({ format: 'TENCENT' }))).toContain('PORCHLIGHT_TENCENT');
    const { id } = await harness.create();
    expect(await refusal(harness.webhooks.updateWebhook(id, { format: 'TENCENT' }))).toContain('PORCHLIGHT_TENCENT');
    expect(await harness.kept(id)).toMatchObject({ format: 'STANDARD' });
  });

  it('is rejected when the maximum number of webhooks exists', async () => {
    for (let index = 0; index < MAX_WEBHOOKS; index++) await harness.create();
    await refusal(harness.create());
    expect(await harness.webhooks.listWebhooks()).toHaveLength(MAX_WEBHOOKS);
  });
});

describe('an update of a webhook', () => {
  it('keeps what is left out, and sets changedAt', async () => {
    const before = await harness.create({ reasons: ['LOGIN'], userStatusOnly: true });
    harness.store.passes(5);
    const { webhook, secret } = await harness.webhooks.updateWebhook(before.id, { url: 'https://other.example' });
    expect(webhook).toEqual({ ...before, url: 'https://other.example', changedAt: START + 5 });
    expect(secret).toBeNull();
    expect(await harness.kept(before.id)).toEqual(webhook);
  });

  it.each<[string, UpdateWebhookRequest, Partial<WebhookRecord>]>([
    ['other reasons', { reasons: ['LOGOUT', 'LOGIN'] }, { reasons: ['LOGOUT', 'LOGIN'] }],
    ['all reasons', { reasons: null }, { reasons: null }],
    ['only what changes a status', { userStatusOnly: true }, { userStatusOnly: true }],
    ['another format', { format: 'TENCENT' }, { format: 'TENCENT', secret: secretOf(0) }],
    ['a pause', { enabled: false }, { state: 'PAUSED' }],
  ])('may be %s', async (_what, asked, after) => {
    const before = await harness.create({ reasons: ['KICKED'] });
    harness.store.passes(5);
    const changed = { ...before, ...after, changedAt: addMs(START, 5) };
    expect((await harness.webhooks.updateWebhook(before.id, asked)).webhook).toEqual(changed);
    expect(await harness.kept(before.id)).toEqual(changed);
  });

  it.each<[WebhookState, boolean, WebhookState]>([
    ['ACTIVE', true, 'ACTIVE'],
    ['PAUSED', true, 'ACTIVE'],
    ['GONE', true, 'ACTIVE'],
    ['ACTIVE', false, 'PAUSED'],
    ['PAUSED', false, 'PAUSED'],
    ['GONE', false, 'PAUSED'],
  ])('%s, with enabled %s, becomes %s', async (state, enabled, after) => {
    const { id } = await harness.create();
    await harness.isIn(id, state);
    await harness.webhooks.updateWebhook(id, { url: 'https://other.example' });
    expect((await harness.kept(id)).state).toBe(state);
    await harness.webhooks.updateWebhook(id, { enabled });
    expect((await harness.kept(id)).state).toBe(after);
  });

  it('that changes nothing is not stored and not published', async () => {
    const before = await harness.create({ reasons: ['LOGIN'] });
    let received = 0;
    harness.parts.store.onWebhooksChanged(() => received++);
    harness.store.passes(5);
    const same = { url: HOOK, reasons: ['LOGIN'], userStatusOnly: false, format: 'STANDARD', enabled: true } as const;
    expect((await harness.webhooks.updateWebhook(before.id, same)).webhook).toEqual(before);
    expect((await harness.webhooks.updateWebhook(before.id, {})).webhook).toEqual(before);
    expect(received).toBe(0);
  });

  it.each<[string, UpdateWebhookRequest, RegExp]>([
    ['a URL that is null', { url: null }, /^url is null/],
    ['a URL that is empty', { url: '' }, /^url is not a valid URL/],
    ['a URL that nothing may be sent to', { url: 'http://chat.example' }, /^url is not allowed/],
    ['a format that is null', { format: null }, /^format is null/],
    ['userStatusOnly that is null', { userStatusOnly: null }, /^userStatusOnly is null/],
    ['enabled that is null', { enabled: null }, /^enabled is null/],
    ['no reasons', { reasons: [] }, /^reasons is empty/],
    ['a reason twice', { reasons: ['LOGIN', 'LOGIN'] }, /^reasons names LOGIN twice/],
    ['the secret that it has', { secret: secretOf(0) }, /^secret is the current one/],
    ['a secret of another form', { secret: 'open sesame' }, /^secret must be whsec_/],
    ['no secret', { secret: null }, /^secret is null/],
    ['two secrets', { secret: secretOf(7), rotateSecret: true }, /not both/],
    ['a time that is no whole number', { previousSecretValidMs: 0.5 }, /^previousSecretValidMs is 0.5/],
    ['a time before now', { previousSecretValidMs: -1 }, /^previousSecretValidMs is -1/],
    ['more than 30 days', { previousSecretValidMs: 30 * DAY + 1 }, /^previousSecretValidMs is 2592000001/],
    ['no number', { previousSecretValidMs: Number.NaN }, /^previousSecretValidMs is NaN/],
  ])('%s: refused, and all the rest of it with it', async (_what, asked, why) => {
    const before = await harness.create();
    harness.store.passes(5);
    const message = await refusal(harness.webhooks.updateWebhook(before.id, { userStatusOnly: true, ...asked }));
    expect(message).toMatch(why);
    expect(message).not.toMatch(/sesame|AAAA/);
    expect(await harness.kept(before.id)).toEqual(before);
  });

  it('of an unknown webhook is rejected', async () => {
    expect(await refusal(harness.webhooks.updateWebhook(UNKNOWN, { enabled: false }))).toBe(
      'There is no webhook "unknown".',
    );
  });
});

describe('a new secret', () => {
  it('is created and returned; the previous one also signs for a day', async () => {
    const { id } = await harness.create();
    const { webhook, secret } = await harness.webhooks.updateWebhook(id, { rotateSecret: true });
    expect(secret).toBe(secretOf(1));
    expect(webhook).toMatchObject({
      secret: secretOf(1),
      previousSecret: { secret: secretOf(0), validUntil: START + DAY },
    });
    expect(listValidSecrets(webhook, addMs(START, DAY - 1))).toEqual([secretOf(1), secretOf(0)]);
    expect(listValidSecrets(webhook, addMs(START, DAY))).toEqual([secretOf(1)]);
  });

  it.each([null, undefined])('treats %s as the default time, and as no rotation', async (left) => {
    const { id } = await harness.create();
    const asked = { secret: secretOf(7), rotateSecret: left, previousSecretValidMs: left };
    const { webhook, secret } = await harness.webhooks.updateWebhook(id, asked);
    expect(secret).toBe(secretOf(7));
    expect(webhook.previousSecret).toEqual({ secret: secretOf(0), validUntil: START + DAY });
  });

  it('may replace the previous one at once, or keep it for 30 days', async () => {
    const { id } = await harness.create();
    const long = await harness.webhooks.updateWebhook(id, { rotateSecret: true, previousSecretValidMs: 30 * DAY });
    expect(long.webhook.previousSecret).toEqual({ secret: secretOf(0), validUntil: START + 30 * DAY });
    const none = await harness.webhooks.updateWebhook(id, { rotateSecret: true, previousSecretValidMs: 0 });
    expect(none.webhook).toMatchObject({ secret: secretOf(2), previousSecret: null });
  });

  it('may be the previous one, so that a rotation can be undone', async () => {
    const { id } = await harness.create();
    await harness.webhooks.updateWebhook(id, { rotateSecret: true });
    const { webhook } = await harness.webhooks.updateWebhook(id, { secret: secretOf(0) });
    expect(webhook).toMatchObject({ secret: secretOf(0), previousSecret: { secret: secretOf(1) } });
  });

  it('is not created by another change, which keeps the expiry of the previous secret', async () => {
    const { id } = await harness.create();
    const { webhook: before } = await harness.webhooks.updateWebhook(id, { rotateSecret: true });
    harness.store.passes(5);
    const { webhook, secret } = await harness.webhooks.updateWebhook(id, { enabled: false, previousSecretValidMs: 0 });
    expect(secret).toBeNull();
    expect(webhook.previousSecret).toEqual(before.previousSecret);
  });

  it('with TENCENT replaces the previous one at once, and may be removed', async () => {
    const { id } = await harness.create({ format: 'TENCENT', secret: 'one' });
    expect((await harness.webhooks.updateWebhook(id, { secret: 'two' })).webhook).toMatchObject({
      secret: 'two',
      previousSecret: null,
    });
    const { webhook, secret } = await harness.webhooks.updateWebhook(id, { secret: null });
    expect(webhook).toMatchObject({ secret: null, previousSecret: null });
    expect(secret).toBeNull();
    expect((await harness.webhooks.updateWebhook(id, { secret: null })).webhook).toEqual(webhook);
    expect(await refusal(harness.webhooks.updateWebhook(id, { secret: 'x\ny' }))).toMatch(
      /^secret has a control character/,
    );
  });
});

describe('a change of the format', () => {
  it.each([null, 'a token'])('to STANDARD requires a valid secret where the secret was %j', async (secret) => {
    const before = await harness.create({ format: 'TENCENT', secret });
    expect(await refusal(harness.webhooks.updateWebhook(before.id, { format: 'STANDARD' }))).toMatch(
      /needs a secret of that format/,
    );
    expect(await refusal(harness.webhooks.updateWebhook(before.id, { format: 'STANDARD', secret: 'x' }))).toMatch(
      /^secret must be/,
    );
    expect(await refusal(harness.webhooks.updateWebhook(before.id, { format: 'STANDARD', secret: null }))).toMatch(
      /^secret is null/,
    );
    expect(await harness.kept(before.id)).toEqual(before);
    const { webhook } = await harness.webhooks.updateWebhook(before.id, { format: 'STANDARD', rotateSecret: true });
    // A TENCENT token cannot sign a STANDARD request.
    expect(webhook).toMatchObject({ format: 'STANDARD', secret: secretOf(0), previousSecret: null });
  });

  it('to TENCENT and back keeps the secret, and drops the previous one', async () => {
    const { id } = await harness.create();
    await harness.webhooks.updateWebhook(id, { rotateSecret: true });
    const away = await harness.webhooks.updateWebhook(id, { format: 'TENCENT' });
    expect(away.webhook).toMatchObject({ secret: secretOf(1), previousSecret: null });
    const back = await harness.webhooks.updateWebhook(id, { format: 'STANDARD' });
    expect(back.webhook).toMatchObject({ format: 'STANDARD', secret: secretOf(1), previousSecret: null });
  });
});

describe('deleting a webhook', () => {
  it('returns the deleted webhook, and rejects a second time', async () => {
    const webhook = await harness.create();
    const other = await harness.create();
    expect(await harness.webhooks.deleteWebhook(webhook.id)).toEqual(webhook);
    expect(await harness.webhooks.listWebhooks()).toEqual([other]);
    expect(await harness.webhooks.findWebhook(webhook.id)).toBeNull();
    expect(await refusal(harness.webhooks.deleteWebhook(webhook.id))).toBe('There is no webhook "webhook-1".');
  });
});

it('a new webhook receives events that were committed while it was created', async () => {
  const start = await harness.store.eventLog.getLatestCursor();
  const { store } = harness.parts;
  vi.spyOn(store, 'createWebhook').mockImplementationOnce(async () => void (await harness.login()));
  expect((await harness.create()).startCursor).toBe(start);
});
