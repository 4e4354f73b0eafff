/** The example docs/examples/phone.mjs keeps its session ONLINE by the pings of graphql-ws. */
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { startProgram } from '../../support/crash/cli-process.ts';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { fetchEventSummaries, fetchUser, newUserId, startSharedServer, updatePolicy } from '../support/users.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

const server = startSharedServer();

test('the example phone sends activity at the interval of its login, without heartbeats', async () => {
  await updatePolicy(server, { platforms: [{ platform: 'IPHONE', heartbeatIntervalMs: 200 }] });
  const userId = newUserId();
  const phone = startProgram([process.execPath, 'docs/examples/phone.mjs', 'IPHONE'], ROOT, {
    TOKEN: await mintToken(userId),
    PORCHLIGHT_URL: `${server.origin}/graphql`,
  });
  onTestFinished(async () => {
    phone.kill('SIGKILL');
    await phone.result;
  });
  await phone.waitForOutput(/connected/);
  const readLastSeen = async () => (await fetchUser(server, userId)).sessions[0]?.lastSeenAt ?? '';
  for (let ping = 0; ping < 3; ping++) {
    const before = await readLastSeen();
    await retryUntilPasses(async () => expect((await readLastSeen()) > before).toBe(true), 15_000);
  }
  expect(await fetchEventSummaries(server, userId)).toEqual(['IPHONE LOGIN ONLINE: OFFLINE > ONLINE v1']);
});
