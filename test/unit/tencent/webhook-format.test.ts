/** The webhook format TENCENT, compared with the examples of Tencent's pages (docs/tencent.md lists them). */
import { describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../../src/app/ports/presence-store.ts';
import { addMs, toMillis } from '../../../src/core/ids.ts';
import type { Platform } from '../../../src/core/enums.ts';
import { ALICE, BOB, AppHarness } from '../app/support/app-harness.ts';
import { createTestEvent } from '../webhooks/support/webhooks.ts';
import { parseCallback, NOW, createCallbackRequests } from './callbacks.ts';

/** A login of alice on an Android phone, with changes. */
const eventOf = (changes: Partial<LoggedEvent> = {}): LoggedEvent => ({
  ...createTestEvent(1),
  userId: ALICE,
  platform: 'ANDROID',
  ...changes,
});

describe('a request', () => {
  it('equals Tencent’s example of a login with kicked devices', () => {
    const login = eventOf({ occurredAt: toMillis(1_629_883_332_497) });
    const kicked = (platform: Platform) => eventOf({ reason: 'KICKED', kickedBy: 'ANDROID', platform });
    const [request, ...others] = createCallbackRequests([login, kicked('WINDOWS'), kicked('LINUX')]);
    expect(others).toEqual([]);
    expect(request!.url.href).toBe(
      'https://www.example.com/?SdkAppid=1400000001&CallbackCommand=State.StateChange&contenttype=json&ClientIP=192.0.2.7&OptPlatform=Android',
    );
    expect(request!.headers).toEqual({ 'content-type': 'application/json' });
    expect(request!.deliveredEventCount).toBe(3);
    expect(request!.body).toBe(
      '{"CallbackCommand":"State.StateChange","EventTime":1629883332497,' +
        '"Info":{"Action":"Login","To_Account":"alice","Reason":"Register"},' +
        '"KickedDevice":[{"Platform":"Windows"},{"Platform":"Linux"}]}',
    );
  });

  it('names the devices that were kicked in the change of the login', async () => {
    const harness = new AppHarness();
    await harness.login(ALICE, 'IPHONE');
    await harness.login(ALICE, 'WEB');
    await harness.login(ALICE, 'WEB');
    await harness.login(BOB, 'IPAD');
    expect(harness.store.events.map(({ reason }) => reason)).toEqual([
      ...['LOGIN', 'LOGIN', 'KICKED', 'LOGIN', 'REPLACED', 'LOGIN'],
    ]);
    const requests = createCallbackRequests(harness.store.events);
    expect(requests.map((request) => parseCallback(request).KickedDevice)).toEqual([
      undefined,
      [{ Platform: 'iOS' }],
      undefined,
      undefined,
    ]);
    expect(requests.map(({ deliveredEventCount }) => deliveredEventCount)).toEqual([1, 3, 5, 6]);
  });

  it('has no kicked devices if its change does not start with a login', () => {
    const logout = eventOf({ reason: 'LOGOUT' });
    expect(parseCallback(createCallbackRequests([logout, { ...logout, reason: 'KICKED' }])[0]!)).not.toHaveProperty(
      'KickedDevice',
    );
  });

  it.each([
    ['https://h.example/cb', 'https://h.example/cb?SdkAppid'],
    ['https://h.example/cb?', 'https://h.example/cb?SdkAppid'],
    ['https://h.example:8443/cb?a=b%2Fc&d=%E4%BD%A0+x', 'https://h.example:8443/cb?a=b%2Fc&d=%E4%BD%A0+x&SdkAppid'],
    ['https://h.example/cb?SdkAppid=7', 'https://h.example/cb?SdkAppid=7&SdkAppid'],
  ])('keeps the query of the webhook URL %s', (url, start) => {
    const [request] = createCallbackRequests([eventOf()], { webhook: { url } });
    expect(request!.url.href).toContain(`${start}=1400000001&CallbackCommand=`);
  });

  it.each([
    ['2001:db8::1', '2001%3Adb8%3A%3A1'],
    [null, ''],
  ])('sends the address %s as ClientIP', (ipAddress, inUrl) => {
    const [request] = createCallbackRequests([eventOf({ ipAddress })]);
    expect(request!.url.search).toContain(`&ClientIP=${inUrl}&OptPlatform=`);
    expect(request!.url.searchParams.get('ClientIP')).toBe(ipAddress ?? '');
  });

  it.each([
    ['DOCUMENTED', 'IOS', 'iOS'],
    ['WEBHOOK', 'iOS', 'iOS'],
    ['QUERY', 'iPhone', 'iPhone'],
  ] as const)('uses the platform names of the setting %s', (platformNames, inUrl, inBody) => {
    const login = eventOf({ platform: 'IPHONE' });
    const [request] = createCallbackRequests([login, { ...login, reason: 'KICKED' }], { options: { platformNames } });
    expect(request!.url.searchParams.get('OptPlatform')).toBe(inUrl);
    expect(parseCallback(request!).KickedDevice).toEqual([{ Platform: inBody }]);
  });

  it.each(['at lunch', null])('sends the custom status %s to webhooks that list CUSTOM_STATUS', (customStatus) => {
    const [request] = createCallbackRequests([eventOf({ reason: 'CUSTOM_STATUS', customStatus })], {
      webhook: { reasons: ['LOGIN', 'CUSTOM_STATUS'] },
    });
    expect(parseCallback(request!).Info).toEqual({
      Action: 'CustomStatusChange',
      To_Account: 'alice',
      Reason: 'SetCustomStatus',
      CustomStatus: customStatus ?? '',
    });
  });

  it('sends no custom status to webhooks without reasons, because old receivers treat it as a logout', () => {
    const requests = createCallbackRequests([
      eventOf({ reason: 'CUSTOM_STATUS', customStatus: 'at lunch' }),
      eventOf({ reason: 'LOGOUT' }),
    ]);
    expect(requests.map((request) => [parseCallback(request).Info.Action, request.deliveredEventCount])).toEqual([
      ['Logout', 2],
    ]);
  });

  it('does not contain a custom status that was set before', () => {
    const [request] = createCallbackRequests([eventOf({ customStatus: 'at lunch' })]);
    expect(parseCallback(request!).Info).not.toHaveProperty('CustomStatus');
  });
});

describe('the signature', () => {
  // The example of Tencent’s page about callbacks.
  const TOKEN = 'xxxxyyyy';
  const SIGN = '17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061';

  it('equals Tencent’s example, at the end of the URL', () => {
    const [request] = createCallbackRequests([eventOf()], { webhook: { secret: TOKEN } });
    expect(request!.url.search).toMatch(new RegExp(`&OptPlatform=Android&Sign=${SIGN}&RequestTime=1669872112$`));
  });

  it('is absent without a secret', () => {
    const [request] = createCallbackRequests([eventOf()]);
    expect(request!.url.search).not.toMatch(/Sign|RequestTime/);
  });

  it('is made with the current secret only', () => {
    const previousSecret = { secret: 'other', validUntil: addMs(NOW, 1) };
    const [request] = createCallbackRequests([eventOf()], { webhook: { secret: TOKEN, previousSecret } });
    expect(request!.url.searchParams.getAll('Sign')).toEqual([SIGN]);
  });

  it('has the time of each request, because receivers reject one that is a minute old', () => {
    const login = eventOf();
    let at = NOW;
    const requests = createCallbackRequests([login, login], {
      webhook: { secret: TOKEN },
      wallClock: () => (at = addMs(at, 60_000)),
    });
    expect(requests.map(({ url }) => url.searchParams.get('RequestTime'))).toEqual(['1669872172', '1669872232']);
  });
});

describe('a test', () => {
  it('is a Logout of the admin account, which changes no user', () => {
    const [request, ...others] = createCallbackRequests([], { isTest: true, webhook: { secret: 'xxxxyyyy' } });
    expect(others).toEqual([]);
    expect(request!.url.search).toMatch(
      /^\?SdkAppid=1400000001&CallbackCommand=State\.StateChange&contenttype=json&ClientIP=127\.0\.0\.1&OptPlatform=RESTAPI&Sign=17773bc3\w+&RequestTime=1669872112$/,
    );
    expect(parseCallback(request!)).toEqual({
      CallbackCommand: 'State.StateChange',
      EventTime: NOW,
      Info: { Action: 'Logout', To_Account: 'administrator', Reason: 'Unregister' },
    });
    expect(request!.deliveredEventCount).toBe(0);
  });

  it('creates a request, unlike a delivery without events', () => {
    expect(createCallbackRequests([])).toEqual([]);
  });
});
