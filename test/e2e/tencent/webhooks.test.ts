/** Tencent IM's callbacks, checked as a backend for Tencent IM would. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { ADMIN, APP_ID, KEY, generateUserSig } from '../../unit/tencent/user-sigs.ts';
import { postForData, GraphqlSocket } from '../../support/porchlight-client.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { LOCAL_RECEIVERS, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { deviceOf, LOGIN, type Device, type LoginResult, type Platform, type Server } from '../support/users.ts';
import { createWebhook } from '../webhooks/webhook-calls.ts';

const TOKEN = 'xxxxyyyy';
const ENV = {
  ...LOCAL_RECEIVERS,
  PORCHLIGHT_TENCENT: '1',
  PORCHLIGHT_TENCENT_APP_ID: String(APP_ID),
  PORCHLIGHT_TENCENT_KEY: KEY,
};

const logIn = async (server: Server, platform: Platform): Promise<Device> =>
  deviceOf(await postForData<LoginResult>(server, generateUserSig('alice'), LOGIN, { input: { platform } }));

const call = async ({ origin }: Server, path: string, request: object): Promise<unknown> => {
  const usersig = generateUserSig(ADMIN);
  const params = { sdkappid: String(APP_ID), identifier: ADMIN, usersig, random: '7', contenttype: 'json' };
  const url = `${origin}/v4/${path}?${new URLSearchParams(params)}`;
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(request) });
  return response.json();
};

test('sends Login with kicked devices, Disconnect and Logout in order, signed, and again after a 500', async () => {
  await using server = await startPorchlight({ env: ENV });
  await using receiver = await ReceiverProcess.start();
  await createWebhook(server, { url: receiver.url('/im?x=1'), format: 'TENCENT', secret: TOKEN });
  await receiver.setRules({ times: 1, behaviour: { kind: 'answer', status: 500 } });
  const phone = await logIn(server, 'ANDROID');
  const mac = await logIn(server, 'MAC');
  expect(mac.kicked.map(({ id }) => id)).toEqual([phone.sessionId]);
  const socket = await GraphqlSocket.open(server, mac.token);
  await socket.close();
  await receiver.waitForRequests('/im', ({ length }) => length >= 4);
  expect(await call(server, 'openim/query_online_status', { To_Account: ['alice'] })).toMatchObject({
    QueryResult: [{ To_Account: 'alice', State: 'PushOnline' }],
  });
  expect(await call(server, 'im_open_login_svc/kick', { UserID: 'alice' })).toMatchObject({ ErrorCode: 0 });
  const requests = await receiver.waitForRequests('/im', ({ length }) => length >= 5);
  const change = (info: object, also: object = {}): object => ({
    CallbackCommand: 'State.StateChange',
    EventTime: expect.any(Number) as unknown,
    Info: { To_Account: 'alice', ...info },
    ...also,
  });
  const first = change({ Action: 'Login', Reason: 'Register' });
  expect(requests.map(({ body }) => JSON.parse(body) as unknown)).toEqual([
    first,
    first,
    change({ Action: 'Login', Reason: 'Register' }, { KickedDevice: [{ Platform: 'Android' }] }),
    change({ Action: 'Disconnect', Reason: 'LinkClose' }),
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
      OptPlatform: index < 2 ? 'Android' : 'Mac',
      Sign: createHash('sha256').update(`${TOKEN}${time}`).digest('hex'),
      RequestTime: time,
    });
    expect(headers['content-type']).toMatch(/^application\/json/);
  }
});
