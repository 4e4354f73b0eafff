/** A policy that changes all the time, while people log in, beat and fall silent: each session keeps what it was told. */
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ServerHarness } from './support/server-harness.ts';

const CHANGE =
  'mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { pushOnlineExpiryMs } } }';
const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { sessionToken heartbeatTimeoutMs } }';
const BEAT = 'mutation { heartbeat { heartbeatTimeoutMs } }';
const TIMEOUTS = [30_000, 60_000, 90_000] as const;
const USERS = 30;

test('nobody is timed out but when she was told, and nobody is lost', { timeout: 60_000 }, async () => {
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
  /** What each was told last. */
  const told = new Map<string, number>();
  const live = async (user: string): Promise<void> => {
    const login = await harness.post(LOGIN, await harness.jwt(user), { input: { platform: 'WEB' } });
    const answer = login.body.data?.['login'] as unknown as { sessionToken: string; heartbeatTimeoutMs: number };
    told.set(user, answer.heartbeatTimeoutMs);
    for (let beats = Number(user) % 4; beats > 0; beats--) {
      const { body } = await harness.post(BEAT, answer.sessionToken);
      told.set(user, (body.data?.['heartbeat'] as unknown as { heartbeatTimeoutMs: number }).heartbeatTimeoutMs);
    }
    // A sign of life that tells nothing changes nothing of it.
    await harness.post('{ me { id } }', answer.sessionToken);
  };
  const began = harness.now;
  await Promise.all(Array.from({ length: USERS }, (_, index) => live(String(index))));
  expect(new Set(told.values()).size).toBeGreaterThan(1);
  for (const timeoutMs of TIMEOUTS) {
    // Nobody's time, whenever within this test she was last heard of, is up before, and everybody's is after.
    await harness.pass(timeoutMs - 1_000 - (harness.now - began));
    for (const [user, toldMs] of told) {
      expect(await harness.status(user), `${user}, told ${toldMs}`).toBe(toldMs < timeoutMs ? 'OFFLINE' : 'ONLINE');
    }
    await harness.pass(20_000);
  }
  for (const user of told.keys()) expect(await harness.reasons(user)).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT']);
  changing = false;
  await policy;
  expect(changes).toBeGreaterThan(USERS);
});
