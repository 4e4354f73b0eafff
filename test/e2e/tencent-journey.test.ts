/** A backend of Tencent IM's, pointed here: its own generator's UserSigs, its own requests, its own callbacks. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { Api } from 'tls-sig-api-v2';
import { ask, codeOf, gql, Socket } from '../tools/porchlight-client.ts';
import { startPorchlight } from '../tools/porchlight-process.ts';
import { LOCAL_RECEIVERS, Receiver } from '../tools/receiver-process.ts';
import { deviceOf, LOGIN, logOut, type LoginSeen, type Platform, type Server } from './people.ts';
import { createWebhook } from './webhooks.ts';

const APP_ID = 1_400_000_000;
const KEY = '5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e';
const TOKEN = 'xxxxyyyy';

const TENCENT = {
  PORCHLIGHT_TENCENT: '1',
  PORCHLIGHT_TENCENT_APP_ID: String(APP_ID),
  PORCHLIGHT_TENCENT_KEY: KEY,
  ...LOCAL_RECEIVERS,
};

const userSig = (userId: string): string => new Api(APP_ID, KEY).genUserSig(userId, 3_600);

const logIn = async (server: Server, userId: string, platform: Platform, sig = userSig(userId)) =>
  deviceOf(await ask<LoginSeen>(server, sig, LOGIN, { input: { platform } }));

/** As their SDKs for servers call it. */
const call = async (server: Server, path: string, body: object, sig = userSig('administrator')): Promise<unknown> => {
  const query = new URLSearchParams({
    sdkappid: String(APP_ID),
    identifier: 'administrator',
    usersig: sig,
    random: '99999999',
    contenttype: 'json',
  });
  const response = await fetch(`${server.origin}${path}?${query}`, { method: 'POST', body: JSON.stringify(body) });
  expect(response.status).toBe(200);
  return response.json();
};

const statusOf = (server: Server, ...userIds: readonly string[]): Promise<unknown> =>
  call(server, '/v4/openim/query_online_status', { IsNeedDetail: 1, To_Account: userIds });

test('a UserSig logs in, the status is asked for, and a kick ends it', async () => {
  await using server = await startPorchlight({ env: TENCENT });
  const sig = userSig('alice');
  const device = await logIn(server, 'alice', 'ANDROID', sig);
  expect(device.userId).toBe('alice');
  expect(await statusOf(server, 'alice', 'nobody')).toMatchObject({
    ActionStatus: 'OK',
    ErrorInfo: '',
    ErrorCode: 0,
    QueryResult: [
      { To_Account: 'alice', State: 'Online', Detail: [{ Platform: 'Android', Status: 'Online' }] },
      { To_Account: 'nobody', State: 'Offline' },
    ],
  });
  const socket = await Socket.open(server, device.token);
  await socket.close();
  await expect
    .poll(() => statusOf(server, 'alice'))
    .toMatchObject({
      QueryResult: [{ State: 'PushOnline', Detail: [{ Platform: 'Android', Status: 'PushOnline' }] }],
    });

  expect(await call(server, '/v4/im_open_login_svc/kick', { UserID: 'alice' })).toMatchObject({
    ActionStatus: 'OK',
    ErrorCode: 0,
  });
  expect(await statusOf(server, 'alice')).toMatchObject({ QueryResult: [{ To_Account: 'alice', State: 'Offline' }] });
  expect(codeOf(await gql(server, device.token, '{ me { id } }'))).toBe('SESSION_ENDED');
  expect(codeOf(await gql(server, sig, LOGIN, { input: { platform: 'ANDROID' } }))).toBe('UNAUTHENTICATED');

  const notAdmin = new Api(APP_ID, `${KEY.slice(1)}0`).genUserSig('administrator', 3_600);
  expect(await call(server, '/v4/openim/query_online_status', { To_Account: ['alice'] }, notAdmin)).toMatchObject({
    ActionStatus: 'FAIL',
  });
});

test('its callback tells Login, with whom it kicked, and Logout, signed as theirs', async () => {
  await using server = await startPorchlight({ env: TENCENT });
  await using receiver = await Receiver.start();
  await createWebhook(server, { url: receiver.url('/im?x=1'), format: 'TENCENT', secret: TOKEN });
  const phone = await logIn(server, 'alice', 'ANDROID');
  const mac = await logIn(server, 'alice', 'MAC');
  expect(mac.kicked.map(({ id }) => id)).toEqual([phone.sessionId]);
  await logOut(server, mac);
  const requests = await receiver.until('/im', ({ length }) => length >= 3);
  const bodies = requests.map(({ body }) => JSON.parse(body) as unknown);
  const change = (info: object): object => ({
    CallbackCommand: 'State.StateChange',
    EventTime: expect.any(Number) as unknown,
    Info: { To_Account: 'alice', ...info },
  });
  expect(bodies).toEqual([
    change({ Action: 'Login', Reason: 'Register' }),
    { ...change({ Action: 'Login', Reason: 'Register' }), KickedDevice: [{ Platform: 'Android' }] },
    change({ Action: 'Logout', Reason: 'Unregister' }),
  ]);
  for (const [index, { url, headers }] of requests.entries()) {
    const parameters = new URL(url, 'http://receiver').searchParams;
    const time = parameters.get('RequestTime') ?? '';
    expect(Math.abs(Number(time) - Date.now() / 1_000)).toBeLessThan(300);
    expect(Object.fromEntries(parameters)).toEqual({
      x: '1',
      SdkAppid: String(APP_ID),
      CallbackCommand: 'State.StateChange',
      contenttype: 'json',
      ClientIP: '127.0.0.1',
      OptPlatform: ['Android', 'Mac', 'Mac'][index],
      Sign: createHash('sha256').update(`${TOKEN}${time}`).digest('hex'),
      RequestTime: time,
    });
    expect(headers['content-type']).toMatch(/^application\/json/);
  }
});
