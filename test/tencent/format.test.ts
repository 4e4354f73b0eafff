/** The webhook format TENCENT, held against the requests that Tencent's pages describe (docs/tencent.md names them). */
import { describe, expect, it } from 'vitest';
import type { LoggedEvent } from '../../src/app/ports.ts';
import type { Millis } from '../../src/core/ids.ts';
import { ALICE, BOB, Stage } from '../app/stage.ts';
import { bodyOf, NOW, requestsFor, webhookOf } from './callbacks.ts';

/** An event as core makes it, changed in what the test is about. */
const eventOf = async (changes: Partial<LoggedEvent>): Promise<LoggedEvent> => {
  const stage = new Stage();
  await stage.login(ALICE, 'ANDROID');
  return { ...stage.store.events[0]!, ...changes };
};

describe('a request', () => {
  it('is the login of their example, kicked devices and all', async () => {
    const login = await eventOf({ occurredAt: 1_629_883_332_497 as Millis });
    const kicked = { reason: 'KICKED', kickedBy: 'ANDROID' } as const;
    const events = [login, { ...login, ...kicked, platform: 'WINDOWS' }, { ...login, ...kicked, platform: 'LINUX' }];
    const [request, ...others] = requestsFor(events as LoggedEvent[]);
    expect(others).toEqual([]);
    expect(request!.url.href).toBe(
      'https://www.example.com/?SdkAppid=1400000001&CallbackCommand=State.StateChange&contenttype=json&ClientIP=192.0.2.1&OptPlatform=Android',
    );
    expect(request!.headers).toEqual({ 'content-type': 'application/json' });
    expect(request!.eventsDone).toBe(3);
    expect(request!.body).toBe(
      '{"CallbackCommand":"State.StateChange","EventTime":1629883332497,' +
        '"Info":{"Action":"Login","To_Account":"alice","Reason":"Register"},' +
        '"KickedDevice":[{"Platform":"Windows"},{"Platform":"Linux"}]}',
    );
  });

  it('names kicked devices as core logs a login that kicks, in its own change alone', async () => {
    const stage = new Stage();
    await stage.login(ALICE, 'IPHONE');
    await stage.login(ALICE, 'WEB');
    await stage.login(ALICE, 'WEB');
    await stage.login(BOB, 'IPAD');
    expect(stage.store.events.map(({ reason }) => reason)).toEqual([
      ...['LOGIN', 'LOGIN', 'KICKED', 'LOGIN', 'REPLACED', 'LOGIN'],
    ]);
    const requests = requestsFor(stage.store.events);
    expect(requests.map((request) => bodyOf(request).KickedDevice)).toEqual([
      undefined,
      [{ Platform: 'iOS' }],
      undefined,
      undefined,
    ]);
    expect(requests.map(({ eventsDone }) => eventsDone)).toEqual([1, 3, 5, 6]);
  });

  it('has no kicked devices where another word than Login comes first in a change', async () => {
    const logout = await eventOf({ reason: 'LOGOUT' });
    expect(bodyOf(requestsFor([logout, { ...logout, reason: 'KICKED' }])[0]!)).not.toHaveProperty('KickedDevice');
  });

  it.each([
    ['https://h.example/cb', 'https://h.example/cb?SdkAppid'],
    ['https://h.example/cb?', 'https://h.example/cb?SdkAppid'],
    ['https://h.example:8443/cb?a=b%2Fc&d=%E4%BD%A0+x', 'https://h.example:8443/cb?a=b%2Fc&d=%E4%BD%A0+x&SdkAppid'],
    ['https://h.example/cb?SdkAppid=7', 'https://h.example/cb?SdkAppid=7&SdkAppid'],
  ])('keeps the query of %s', async (url, start) => {
    const [request] = requestsFor([await eventOf({})], { webhook: webhookOf({ url }) });
    expect(request!.url.href).toContain(`${start}=1400000001&CallbackCommand=`);
  });

  it.each([
    ['2001:db8::1', '2001%3Adb8%3A%3A1'],
    [null, ''],
  ])('carries the address %s as ClientIP', async (ipAddress, inUrl) => {
    const [request] = requestsFor([await eventOf({ ipAddress })]);
    expect(request!.url.search).toContain(`&ClientIP=${inUrl}&OptPlatform=`);
    expect(request!.url.searchParams.get('ClientIP')).toBe(ipAddress ?? '');
  });

  it.each([
    ['DOCUMENTED', 'IOS', 'iOS'],
    ['WEBHOOK', 'iOS', 'iOS'],
    ['QUERY', 'iPhone', 'iPhone'],
  ] as const)('spells platforms by the setting: %s', async (platformNames, inUrl, inBody) => {
    const login = await eventOf({ platform: 'IPHONE' });
    const [request] = requestsFor([login, { ...login, reason: 'KICKED' }], { options: { platformNames } });
    expect(request!.url.searchParams.get('OptPlatform')).toBe(inUrl);
    expect(bodyOf(request!).KickedDevice).toEqual([{ Platform: inBody }]);
  });

  it.each(['at lunch', null])('tells a custom text: %s', async (customStatus) => {
    const [request] = requestsFor([await eventOf({ reason: 'CUSTOM_STATUS', customStatus })]);
    expect(bodyOf(request!).Info).toEqual({
      Action: 'CustomStatusChange',
      To_Account: 'alice',
      Reason: 'SetCustomStatus',
      CustomStatus: customStatus ?? '',
    });
  });

  it('says nothing of a custom text that was set before', async () => {
    const [request] = requestsFor([await eventOf({ customStatus: 'at lunch' })]);
    expect(bodyOf(request!).Info).not.toHaveProperty('CustomStatus');
  });
});

describe('its signature', () => {
  // The example of their page about callbacks.
  const TOKEN = 'xxxxyyyy';
  const SIGN = '17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061';

  it('is that of their example, at the end of the URL', async () => {
    const [request] = requestsFor([await eventOf({})], { webhook: webhookOf({ secret: TOKEN }) });
    expect(request!.url.search).toMatch(new RegExp(`&OptPlatform=Android&Sign=${SIGN}&RequestTime=1669872112$`));
  });

  it('is not there without a secret', async () => {
    const [request] = requestsFor([await eventOf({})]);
    expect(request!.url.search).not.toMatch(/Sign|RequestTime/);
  });

  it('is of the present secret alone', async () => {
    const previousSecret = { secret: 'other', validUntil: (NOW + 1) as Millis };
    const [request] = requestsFor([await eventOf({})], { webhook: webhookOf({ secret: TOKEN, previousSecret }) });
    expect(request!.url.searchParams.getAll('Sign')).toEqual([SIGN]);
  });

  it('is of the moment of each request: receivers refuse one that is a minute old', async () => {
    const login = await eventOf({});
    let now = NOW;
    const requests = requestsFor([login, login], {
      webhook: webhookOf({ secret: TOKEN }),
      now: () => (now = (now + 60_000) as Millis),
    });
    expect(requests.map(({ url }) => url.searchParams.get('RequestTime'))).toEqual(['1669872172', '1669872232']);
  });
});

describe('a test', () => {
  it('is a Logout of the account of the server API, from no device: it changes nobody', () => {
    const [request, ...others] = requestsFor([], { isTest: true, webhook: webhookOf({ secret: 'xxxxyyyy' }) });
    expect(others).toEqual([]);
    expect(request!.url.search).toMatch(
      /^\?SdkAppid=1400000001&CallbackCommand=State\.StateChange&contenttype=json&ClientIP=127\.0\.0\.1&OptPlatform=RESTAPI&Sign=17773bc3\w+&RequestTime=1669872112$/,
    );
    expect(bodyOf(request!)).toEqual({
      CallbackCommand: 'State.StateChange',
      EventTime: NOW,
      Info: { Action: 'Logout', To_Account: 'administrator', Reason: 'Unregister' },
    });
    expect(request!.eventsDone).toBe(0);
  });

  it('is no delivery without events, which makes no request', () => {
    expect(requestsFor([])).toEqual([]);
  });
});
