/** The whole cast of a server under load: devices that kick each other, and a backend that ends sessions. */
import type { LogEvent } from './crash-log.ts';
import { type Cast, Device } from './crash-device.ts';
import { pause } from './crash-stream.ts';
import { dataOf, gql } from '../porchlight-client.ts';

/** The same seed gives the same numbers, 0 ≤ r < 1 (mulberry32). */
export const randomNumbers = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

/** One that may be beside a phone, two that may not, in a policy of DUAL. */
const PLATFORMS = ['IPHONE', 'WINDOWS', 'WEB'];

/** Marks the policy, by a number that takes part in nothing else: the base, and how often it was changed. */
export const MARKER_BASE_MS = 700_000_000;

const END = `mutation ($input: EndSessionsInput!) { endSessions(input: $input) {
  ended { id } userStatus { userId status version customStatus } } }`;

interface Ended {
  readonly endSessions: {
    readonly ended: readonly { readonly id: string }[];
    readonly userStatus: { userId: string; status: string; version: number; customStatus: string | null };
  };
}

/** Resolves when everybody has noticed that the server is gone. */
export const playAll = async (cast: Cast, userIds: readonly string[]): Promise<void> => {
  const devices = userIds.flatMap((userId) => PLATFORMS.map((platform) => new Device(cast, userId, platform).live()));
  await Promise.all([...devices, endSome(cast, userIds), changePolicy(cast)]);
};

/** Does `act` again and again; whatever goes wrong before the server is gone is a fault. */
const untilOver = async (cast: Cast, act: () => Promise<void>): Promise<void> => {
  try {
    for (; !cast.over(); await pause(10)) await act();
  } catch (error) {
    if (!cast.over()) cast.witness.faults.push(String(error));
  }
};

const endSome = (cast: Cast, userIds: readonly string[]): Promise<void> =>
  untilOver(cast, async () => {
    const { server, witness, random } = cast;
    const userId = userIds[Math.floor(random() * userIds.length)];
    const began = witness.begin();
    const { ended, userStatus } = dataOf(
      await gql<Ended>(server, server.apiKey, END, { input: { userId } }),
    ).endSessions;
    witness.see(userStatus);
    witness.sure(began, ...ended.map(({ id }): Partial<LogEvent> => ({ reason: 'REVOKED', sessionId: id })));
  });

const changePolicy = (cast: Cast): Promise<void> =>
  untilOver(cast, async () => {
    const { server, witness } = cast;
    witness.policy.asked = Math.max(witness.policy.asked, witness.policy.answered) + 1;
    const { asked } = witness.policy;
    const answer = await gql<{ updatePolicy: { policy: { pushOnlineExpiryMs: number } } }>(
      server,
      server.apiKey,
      'mutation ($ms: Float) { updatePolicy(input: { pushOnlineExpiryMs: $ms }) { policy { pushOnlineExpiryMs } } }',
      { ms: MARKER_BASE_MS + asked },
    );
    dataOf(answer);
    witness.policy.answered = asked;
    witness.sure(0);
  });
