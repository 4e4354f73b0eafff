/** Activity that is acknowledged while a change of the same user waits for a slow disk. */
import { expect, test } from 'vitest';
import { retryUntilPasses, delay } from '../../support/crash/event-stream.ts';
import { DiskFaults } from '../../support/faults/disk-faults.ts';
import { postForData, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight } from '../../support/porchlight-process.ts';

const LOGIN = `mutation ($platform: Platform!) { login(input: { platform: $platform }) { sessionToken } }`;

interface LoginResult {
  readonly login: { readonly sessionToken: string };
}

interface EventsResult {
  readonly events: { readonly nodes: readonly { readonly platform: string; readonly reason: string }[] };
}

test('an answered ping counts as activity although the timeout of another session of the user waits for the disk before it', async () => {
  using disk = new DiskFaults();
  const platforms = JSON.stringify([
    { platform: 'IPHONE', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_500 },
    { platform: 'WEB', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 3_000 },
  ]);
  const env = { ...disk.env, PORCHLIGHT_MULTI_DEVICE: 'multi', PORCHLIGHT_PLATFORMS: platforms };
  await using server = await startPorchlight({ env });
  const token = await mintToken('alice');
  const web = await postForData<LoginResult>(server, token, LOGIN, { platform: 'WEB' });
  const socket = await GraphqlSocket.open(server, web.login.sessionToken);
  // The timeouts are 3 s for WEB and 1.5 s for IPHONE.
  await postForData<LoginResult>(server, token, LOGIN, { platform: 'IPHONE' });
  await delay(1_200);
  disk.delayFsync(2_200);
  // The write takes longer than the timeout of WEB, and the timeout of IPHONE ends during it.
  const input = { userId: 'alice', platform: 'LINUX', revokeTokens: true };
  const change = postForData(
    server,
    server.apiKey,
    'mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { id } } }',
    { input },
  );
  await delay(1_000);
  const pong = new Promise((resolve) => socket.ws.once('pong', resolve));
  socket.ws.ping();
  await pong;
  await change;
  disk.repair();
  const pings = setInterval(() => socket.ws.ping(), 500);
  try {
    const query = '{ events(userId: "alice") { nodes { platform reason } } }';
    const reasons = await retryUntilPasses(async () => {
      const { events } = await postForData<EventsResult>(server, server.apiKey, query);
      const timedOut = events.nodes.filter(({ reason }) => reason === 'HEARTBEAT_TIMEOUT');
      expect(timedOut).not.toEqual([]);
      return timedOut.map(({ platform }) => platform);
    }, 10_000);
    expect(reasons).toEqual(['IPHONE']);
  } finally {
    clearInterval(pings);
  }
});
