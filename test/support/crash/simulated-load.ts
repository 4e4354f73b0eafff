/** The load on a server: devices that kick each other, and a backend that ends sessions. */
import type { LogEvent } from './log-checks.ts';
import { type LoadContext, SimulatedDevice } from './simulated-device.ts';
import { delay } from './event-stream.ts';
import { dataOf, postOperation } from '../porchlight-client.ts';

/** A generator with a seed, 0 ≤ r < 1 (mulberry32). */
export const createRandom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

/** One platform that is allowed beside a phone and two that are not, under the policy DUAL. */
const PLATFORMS = ['IPHONE', 'WINDOWS', 'WEB'];

/**
 * The policy value that marks versions of the policy. It affects nothing else: this base plus the number of updates.
 */
export const MARKER_BASE_MS = 700_000_000;

const END = `mutation ($input: EndSessionsInput!) { endSessions(input: $input) {
  ended { id } userStatus { userId status version customStatus } } }`;

interface Ended {
  readonly endSessions: {
    readonly ended: readonly { readonly id: string }[];
    readonly userStatus: { userId: string; status: string; version: number; customStatus: string | null };
  };
}

/** Resolves when all clients have noticed that the server is gone. */
export const runLoad = async (cast: LoadContext, userIds: readonly string[]): Promise<void> => {
  const devices = userIds.flatMap((userId) =>
    PLATFORMS.map((platform) => new SimulatedDevice(cast, userId, platform).runSessions()),
  );
  await Promise.all([...devices, endRandomSessions(cast, userIds), updatePolicyRepeatedly(cast)]);
};

/** Repeats `act`. An error before the server is gone is recorded as a failure. */
const repeatUntilServerGone = async (cast: LoadContext, act: () => Promise<void>): Promise<void> => {
  try {
    for (; !cast.isServerGone(); await delay(10)) await act();
  } catch (error) {
    if (!cast.isServerGone()) cast.witness.failures.push(String(error));
  }
};

const endRandomSessions = (cast: LoadContext, userIds: readonly string[]): Promise<void> =>
  repeatUntilServerGone(cast, async () => {
    const { server, witness, random } = cast;
    const userId = userIds[Math.floor(random() * userIds.length)];
    const began = witness.recordSent();
    const { ended, userStatus } = dataOf(
      await postOperation<Ended>(server, server.apiKey, END, { input: { userId } }),
    ).endSessions;
    witness.recordUser(userStatus);
    witness.recordAcknowledged(
      began,
      ...ended.map(({ id }): Partial<LogEvent> => ({ reason: 'REVOKED', sessionId: id })),
    );
  });

const updatePolicyRepeatedly = (cast: LoadContext): Promise<void> =>
  repeatUntilServerGone(cast, async () => {
    const { server, witness } = cast;
    witness.policy.asked = Math.max(witness.policy.asked, witness.policy.answered) + 1;
    const { asked } = witness.policy;
    const answer = await postOperation<{ updatePolicy: { policy: { pushOnlineExpiryMs: number } } }>(
      server,
      server.apiKey,
      'mutation ($ms: Float) { updatePolicy(input: { pushOnlineExpiryMs: $ms }) { policy { pushOnlineExpiryMs } } }',
      { ms: MARKER_BASE_MS + asked },
    );
    dataOf(answer);
    witness.policy.answered = asked;
    witness.recordAcknowledged(0);
  });
