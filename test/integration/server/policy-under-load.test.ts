/** A policy that changes continuously during logins and heartbeats: each session keeps the timeout last sent to it. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ServerHarness } from './support/server-harness.ts';

const CHANGE =
  'mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { pushOnlineExpiryMs } } }';
const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { sessionToken heartbeatTimeoutMs } }';
const BEAT = 'mutation { heartbeat { heartbeatTimeoutMs } }';
const TIMEOUTS = [30_000, 60_000, 90_000] as const;
const USERS = 30;

test('each session times out exactly after the timeout last sent to it', { timeout: 60_000 }, async () => {
  const harness = await ServerHarness.open();
  let changing = true;
  let changes = 0;
  const policy = (async () => {
    while (changing) {
      const heartbeatTimeoutMs = TIMEOUTS[changes++ % TIMEOUTS.length];
      const { body } = await harness.post(CHANGE, undefined, {
        input: { platforms: [{ platform: 'WEB', heartbeatTimeoutMs }] },
      });
      expect(body.errors).toBeUndefined();
      await turn();
    }
  })();
  /** The timeout in milliseconds last sent to each user. */
  const sentTimeouts = new Map<string, number>();
  const useSession = async (user: string): Promise<void> => {
    const login = await harness.post(LOGIN, await harness.jwt(user), { input: { platform: 'WEB' } });
    const answer = login.body.data?.['login'] as unknown as { sessionToken: string; heartbeatTimeoutMs: number };
    sentTimeouts.set(user, answer.heartbeatTimeoutMs);
    for (let heartbeats = Number(user) % 4; heartbeats > 0; heartbeats--) {
      const { body } = await harness.post(BEAT, answer.sessionToken);
      sentTimeouts.set(
        user,
        (body.data?.['heartbeat'] as unknown as { heartbeatTimeoutMs: number }).heartbeatTimeoutMs,
      );
    }
    // Activity whose answer contains no timeout does not change the timeout of the session.
    await harness.post('{ me { id } }', answer.sessionToken);
  };
  const began = harness.now;
  await Promise.all(Array.from({ length: USERS }, (_, index) => useSession(String(index))));
  expect(new Set(sentTimeouts.values()).size).toBeGreaterThan(1);
  for (const timeoutMs of TIMEOUTS) {
    // Before this moment no session with this timeout has expired; 20 s later each one has, whenever it was last active.
    await harness.advanceTime(timeoutMs - 1_000 - (harness.now - began));
    for (const [user, sentTimeoutMs] of sentTimeouts) {
      expect(await harness.status(user), `${user}, timeout ${sentTimeoutMs}`).toBe(
        sentTimeoutMs < timeoutMs ? 'OFFLINE' : 'ONLINE',
      );
    }
    await harness.advanceTime(20_000);
  }
  for (const user of sentTimeouts.keys()) expect(await harness.reasons(user)).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT']);
  changing = false;
  await policy;
  expect(changes).toBeGreaterThan(USERS);
});
