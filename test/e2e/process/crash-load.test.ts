/** What was acknowledged or told survives `kill -9`, at whatever moment it comes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FeedFollower, StatusWatcher } from '../../support/crash/crash-audience.ts';
import { MARKER_BASE_MS, runLoad, createRandom } from '../../support/crash/crash-load.ts';
import {
  groupByUser,
  replayLog,
  expectCurrentState,
  readLog,
  type ReplayedUser,
} from '../../support/crash/crash-log.ts';
import { retryUntilPasses, delay } from '../../support/crash/crash-stream.ts';
import { CrashWitness } from '../../support/crash/crash-witness.ts';
import { postForData, postOperation } from '../../support/porchlight-client.ts';
import { type PorchlightProcess, startPorchlight } from '../../support/porchlight-process.ts';

const ROUNDS = 6;
/** A failure is repeated, as far as such a thing can be, with CRASH_SEED. */
const seed = Number(process.env.CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-crash-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));

/** Tokens of live sessions work, those of ended ones say how it ended. */
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
  const asked = await postForData<{ policy: { pushOnlineExpiryMs: number } }>(
    server,
    server.apiKey,
    '{ policy { pushOnlineExpiryMs } }',
  );
  const marker = asked.policy.pushOnlineExpiryMs - MARKER_BASE_MS;
  expect(marker, 'the last policy that was answered, or a later one').toBeGreaterThanOrEqual(policy.answered);
  expect(marker).toBeLessThanOrEqual(policy.asked);
};

test(`kill -9 under load loses, repeats and invents nothing (seed ${seed})`, { timeout: 180_000 }, async () => {
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
      let over = false;
      const playing = runLoad({ server, witness, random, isServerGone: () => over }, userIds);
      await witness.waitForAnswers(witness.answerCount + 60 + Math.floor(random() * 340));
      await delay(random() * 20);
      over = true;
      await server.sigkill();
      await playing;
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
    // Or else the load has not done what this test is about.
    for (const reason of ['LOGIN', 'KICKED', 'LOGOUT', 'DISCONNECT', 'RECONNECT', 'REVOKED', 'CUSTOM_STATUS']) {
      expect(reasons, `there was a ${reason}`).toContain(reason);
    }
    for (const follower of followers) {
      await retryUntilPasses(() => expect(follower.received.length).toBeGreaterThanOrEqual(log.length));
      await follower.stop();
      expect(groupByUser(follower.received), 'neither gap nor repeat').toEqual(groupByUser(log));
    }
    for (const watcher of watchers) await watcher.stop();
    console.log(`${ROUNDS} rounds, ${witness.answerCount} answers, ${log.length} events`);
  } finally {
    await server[Symbol.asyncDispose]();
  }
});
