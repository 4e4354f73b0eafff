/** Signs of life that come, and are acknowledged, while a change of the same user is on its way to a slow disk. */
import { expect, test } from 'vitest';
import { eventually, pause } from '../../support/crash/crash-stream.ts';
import { DiskFaults } from '../../support/faults/disk-faults.ts';
import { ask, Socket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight } from '../../support/porchlight-process.ts';

const LOGIN = `mutation ($platform: Platform!) { login(input: { platform: $platform }) { sessionToken } }`;

interface LoggedIn {
  readonly login: { readonly sessionToken: string };
}

interface Logged {
  readonly events: { readonly nodes: readonly { readonly platform: string; readonly reason: string }[] };
}

test('a ping that was answered counts, though another session’s timeout waits for the disk before it', async () => {
  using disk = new DiskFaults();
  const platforms = JSON.stringify([
    { platform: 'IPHONE', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_500 },
    { platform: 'WEB', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 3_000 },
  ]);
  const env = { ...disk.env, PORCHLIGHT_MULTI_DEVICE: 'multi', PORCHLIGHT_PLATFORMS: platforms };
  await using server = await startPorchlight({ env });
  const token = await mintToken('alice');
  const web = await ask<LoggedIn>(server, token, LOGIN, { platform: 'WEB' });
  const socket = await Socket.open(server, web.login.sessionToken);
  // From now on WEB has three seconds, and the phone one and a half.
  await ask<LoggedIn>(server, token, LOGIN, { platform: 'IPHONE' });
  await pause(1_200);
  disk.slowDown(2_200);
  // It is written until after WEB's three seconds, and the phone is due meanwhile.
  const input = { userId: 'alice', platform: 'LINUX', revokeTokens: true };
  const change = ask(
    server,
    server.apiKey,
    'mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { id } } }',
    { input },
  );
  await pause(1_000);
  const pong = new Promise((resolve) => socket.ws.once('pong', resolve));
  socket.ws.ping();
  await pong;
  await change;
  disk.mend();
  const beating = setInterval(() => socket.ws.ping(), 500);
  try {
    const query = '{ events(userId: "alice") { nodes { platform reason } } }';
    const reasons = await eventually(async () => {
      const { events } = await ask<Logged>(server, server.apiKey, query);
      const timedOut = events.nodes.filter(({ reason }) => reason === 'HEARTBEAT_TIMEOUT');
      expect(timedOut).not.toEqual([]);
      return timedOut.map(({ platform }) => platform);
    }, 10_000);
    expect(reasons).toEqual(['IPHONE']);
  } finally {
    clearInterval(beating);
  }
});
