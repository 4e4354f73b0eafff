/** Acknowledged and published changes survive SIGKILL at any moment. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FeedFollower, StatusWatcher } from '../../support/crash/crash-subscribers.ts';
import { MARKER_BASE_MS, runLoad, createRandom } from '../../support/crash/simulated-load.ts';
import {
  groupByUser,
  replayLog,
  expectCurrentState,
  readLog,
  type ReplayedUser,
} from '../../support/crash/log-checks.ts';
import { retryUntilPasses, delay } from '../../support/crash/event-stream.ts';
import { CrashWitness } from '../../support/crash/crash-witness.ts';
import { postForData, postOperation } from '../../support/porchlight-client.ts';
import { type PorchlightProcess, startPorchlight } from '../../support/porchlight-process.ts';

const ROUNDS = 6;
/** CRASH_SEED repeats a failed run as far as timing allows. */
const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-crash-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));

/** Expects tokens of live sessions to work and those of ended sessions to get the reason. */
const expectTokens = async (
  server: PorchlightProcess,
  tokens: ReadonlyMap<string, string>,
  users: ReadonlyMap<string, ReplayedUser>,
): Promise<void> => {
  const live = new Set([...users.values()].flatMap((user) => [...user.history.liveSessions.keys()]));
  const ended = new Map([...users.values()].flatMap((user) => [...user.ended]));
  for (const [sessionId, token] of tokens) {
    const answer = await postOperation<{ me: { id: string; status: string } }>(server, token, '{ me { id status } }');
    if (live.has(sessionId)) expect(answer).toEqual({ data: { me: { id: sessionId, status: 'ONLINE' } } });
    else {
      const end = ended.get(sessionId);
      expect(answer.errors?.[0]?.extensions, JSON.stringify(answer)).toMatchObject({
        code: 'SESSION_ENDED',
        reason: end?.reason,
        endedAt: end?.occurredAt,
        ...(end?.kickedBy == null ? {} : { kickedBy: end.kickedBy }),
      });
    }
  }
};

const expectPolicy = async (server: PorchlightProcess, { policy }: CrashWitness): Promise<void> => {
  const result = await postForData<{ policy: { pushOnlineExpiryMs: number } }>(
    server,
    server.apiKey,
    '{ policy { pushOnlineExpiryMs } }',
  );
  const marker = result.policy.pushOnlineExpiryMs - MARKER_BASE_MS;
  expect(marker, 'the last acknowledged policy, or a later one').toBeGreaterThanOrEqual(policy.answered);
  expect(marker).toBeLessThanOrEqual(policy.asked);
};

test(`SIGKILL under load loses, repeats and invents no change (seed ${seed})`, { timeout: 180_000 }, async () => {
  console.log(`kill -9 under load: CRASH_SEED=${seed}`);
  const random = createRandom(seed);
  const witness = new CrashWitness();
  const userIds = Array.from({ length: 12 }, (_, index) => `user ${index}`);
  const env = { PORCHLIGHT_MULTI_DEVICE: 'dual' };
  let server = await startPorchlight({ directory, env });
  const { latestCursor } = await postForData<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }');
  const followers = [new FeedFollower('socket', latestCursor), new FeedFollower('events', latestCursor)];
  const watchers = [new StatusWatcher('socket', witness), new StatusWatcher('events', witness)];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const follower of followers) await follower.follow(server);
      for (const watcher of watchers) await watcher.watch(server, userIds);
      let isServerKilled = false;
      const load = runLoad({ server, witness, random, isServerGone: () => isServerKilled }, userIds);
      await witness.waitForAnswers(witness.answerCount + 60 + Math.floor(random() * 340));
      await delay(random() * 20);
      isServerKilled = true;
      await server.sigkill();
      await load;
      await Promise.all([...followers, ...watchers].map((listener) => listener.waitForDisconnect()));
      expect(witness.failures).toEqual([]);

      server = await startPorchlight({ directory, env });
      const log = await readLog(server);
      const users = replayLog(log);
      await expectCurrentState(server, users, userIds);
      witness.expectLogged(log);
      witness.expectObservedLogged(users);
      await expectPolicy(server, witness);
      await expectTokens(server, witness.tokens, users);
    }

    for (const follower of followers) await follower.follow(server);
    for (const watcher of watchers) await watcher.watch(server, userIds);
    const log = await readLog(server);
    const reasons = new Set(log.map(({ reason }) => reason));
    // The load must have caused every kind of event.
    for (const reason of ['LOGIN', 'KICKED', 'LOGOUT', 'DISCONNECT', 'RECONNECT', 'REVOKED', 'CUSTOM_STATUS']) {
      expect(reasons, `there was a ${reason}`).toContain(reason);
    }
    for (const follower of followers) {
      await retryUntilPasses(() => expect(follower.received.length).toBeGreaterThanOrEqual(log.length));
      await follower.stop();
      expect(groupByUser(follower.received), 'without a gap or a repeat').toEqual(groupByUser(log));
    }
    for (const watcher of watchers) await watcher.stop();
    console.log(`${ROUNDS} rounds, ${witness.answerCount} answers, ${log.length} events`);
  } finally {
    await server[Symbol.asyncDispose]();
  }
});
