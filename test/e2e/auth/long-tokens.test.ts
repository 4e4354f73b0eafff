/** Users whose token lists all their friends, with the visibility `none`. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codeOf, dataOf, GraphqlSocket, postForData, postOperation } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { logIn, LOGIN, newUserId, stopCleanly, Watcher, type LoginResult } from '../support/users.ts';

const FRIENDS = Array.from({ length: 500 }, () => randomUUID());
const QUERY = 'query ($userIds: [ID!]!) { userStatuses(userIds: $userIds) { status } }';
const INPUT = { input: { platform: 'IPHONE' } };

describe('a user whose token lists 500 users by UUID', () => {
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-long-tokens-'));
  const start = (): Promise<PorchlightProcess> =>
    startPorchlight({ directory, env: { PORCHLIGHT_VISIBILITY: 'none' } });
  let server: PorchlightProcess;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(async () => {
    await stopCleanly(server);
    rmSync(directory, { recursive: true, force: true });
  });
  const mintLongToken = (): Promise<string> => mintToken(newUserId(), { claims: { watch: FRIENDS } });

  /** The token watches all friends, receives a change of the last one, and may not see others. */
  const expectWatching = async (token: string): Promise<void> => {
    const watcher = await Watcher.open(server, FRIENDS, token);
    expect(watcher.initialStatuses).toHaveLength(500);
    const friend = FRIENDS[499] ?? '';
    await postForData(
      server,
      server.apiKey,
      'mutation ($id: ID!) { endSessions(input: { userId: $id }) { ended { id } } }',
      { id: friend },
    );
    await logIn(server, friend, 'WEB');
    await watcher.changes.nextMatching(({ userId, status }) => userId === friend && status === 'ONLINE');
    expect(codeOf(await watcher.socket.execute(QUERY, { userIds: [randomUUID()] }))).toBe('FORBIDDEN');
    await watcher.socket.close();
    expect(codeOf(await postOperation(server, token, QUERY, { userIds: FRIENDS }))).toBeNull();
    expect(codeOf(await postOperation(server, token, QUERY, { userIds: [randomUUID()] }))).toBe('FORBIDDEN');
  };

  test('logs in over HTTP and watches all of them, also after a restart of the server', async () => {
    const token = await mintLongToken();
    const { login } = await postForData<LoginResult>(server, token, LOGIN, INPUT);
    await expectWatching(token);
    await expectWatching(login.sessionToken);
    await stopCleanly(server);
    server = await start();
    await expectWatching(login.sessionToken);
  });

  test('logs in over a socket and watches all of them', async () => {
    const token = await mintLongToken();
    const byPayload = await GraphqlSocket.open(server, token);
    const byUpgrade = await GraphqlSocket.open(server, null, {
      ws: { headers: { authorization: `Bearer ${await mintLongToken()}` } },
    });
    for (const socket of [byPayload, byUpgrade]) {
      const { login } = dataOf(await socket.execute<LoginResult>(LOGIN, INPUT));
      await expectWatching(login.sessionToken);
      await socket.close();
    }
  });
});
