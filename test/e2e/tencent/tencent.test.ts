/** The Tencent API of a server process: disabled, enabled, and after a crash. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ADMIN, APP_ID, KEY, generateUserSig } from '../../unit/tencent/user-sigs.ts';
import { postOperation } from '../../support/porchlight-client.ts';
import { startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { startSharedServer } from '../support/users.ts';

const shared = startSharedServer();
const LOGIN = 'mutation { login(input: {platform: WINDOWS}) { session { id } } }';
const ENV = {
  PORCHLIGHT_TENCENT: '1',
  PORCHLIGHT_TENCENT_APP_ID: String(APP_ID),
  PORCHLIGHT_TENCENT_KEY: KEY,
  PORCHLIGHT_TENCENT_PLATFORM_NAMES: 'webhook',
};

const call = async ({ origin }: Pick<PorchlightProcess, 'origin'>, path: string, request: object): Promise<unknown> => {
  const usersig = generateUserSig(ADMIN);
  const params = { sdkappid: String(APP_ID), identifier: ADMIN, usersig, random: '7', contenttype: 'json' };
  const url = `${origin}/v4/${path}?${new URLSearchParams(params)}`;
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(request) });
  return { http: response.status, ...((await response.json()) as object) };
};

test('is absent when PORCHLIGHT_TENCENT is off', async () => {
  expect(await call(shared, 'openim/querystate', { To_Account: ['alice'] })).toMatchObject({ http: 404 });
  expect(await postOperation(shared, generateUserSig('alice'), LOGIN)).toMatchObject({
    errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
  });
});

test('accepts UserSigs, queries and kicks, and a kick survives a kill -9', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-tencent-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const old = generateUserSig('alice', { at: Date.now() - 5_000 });
  {
    await using server = await startPorchlight({ env: ENV, directory });
    expect(await postOperation(server, old, LOGIN)).not.toHaveProperty('errors');
    expect(await call(server, 'openim/query_online_status', { To_Account: ['alice'], IsNeedDetail: 1 })).toEqual({
      http: 200,
      ActionStatus: 'OK',
      ErrorInfo: '',
      ErrorCode: 0,
      QueryResult: [
        {
          To_Account: 'alice',
          State: 'Online',
          Status: 'Online',
          Detail: [{ Platform: 'Windows', Status: 'Online' }],
        },
      ],
      ErrorList: [],
    });
    expect(await call(server, 'im_open_login_svc/kick', { UserID: 'alice' })).toMatchObject({ ErrorCode: 0 });
    await server.sigkill();
  }
  await using server = await startPorchlight({ env: ENV, directory });
  expect(await call(server, 'openim/querystate', { To_Account: ['alice'] })).toMatchObject({
    QueryResult: [{ To_Account: 'alice', State: 'Offline', Status: 'Offline' }],
  });
  expect(await postOperation(server, old, LOGIN)).toMatchObject({
    errors: [{ message: 'The token has been revoked.' }],
  });
  // The clock of the backend may be 60 s ahead, so a UserSig of now may be older than the kick.
  const tooSoon = generateUserSig('alice', { at: Date.now() + 1_000 });
  expect(await postOperation(server, tooSoon, LOGIN)).toMatchObject({
    errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
  });
  const renewed = generateUserSig('alice', { at: Date.now() + 61_000 });
  expect(await postOperation(server, renewed, LOGIN)).not.toHaveProperty('errors');
});
