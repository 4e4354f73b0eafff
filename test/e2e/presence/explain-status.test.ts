/** explainStatus over both transports of a server process, compared with what happens afterwards. */
import { expect, test } from 'vitest';
import { postForData, GraphqlSocket } from '../../support/porchlight-client.ts';
import { logIn, logOut, newUserId, startSharedServer, updatePolicy, fetchUser, Watcher } from '../support/users.ts';

const server = startSharedServer();

const EXPLAIN = `query ($userId: ID!) { explainStatus(userId: $userId) {
  asOf because userStatus { status version } decidedBy { id attached }
  nextDeadline { at reason sessionId becomes } nextStatusChange { at reason sessionId becomes }
  sessions { session { id status } sockets nextDeadline { reason becomes } }
  events { reason status version occurredAt }
} }`;

interface Deadline {
  readonly at: string;
  readonly reason: string;
  readonly sessionId: string;
  readonly becomes: string;
}

interface Explanation {
  readonly asOf: string;
  readonly because: string;
  readonly userStatus: { readonly status: string; readonly version: number };
  readonly decidedBy: { readonly id: string; readonly attached: boolean } | null;
  readonly nextDeadline: Deadline | null;
  readonly nextStatusChange: Deadline | null;
  readonly sessions: readonly { readonly sockets: number }[];
  readonly events: readonly { readonly reason: string; readonly occurredAt: string }[];
}

/** Explains a user over HTTP and over a socket. Expects equal answers except for elapsed times. */
const explainUser = async (userId: string): Promise<Explanation> => {
  const http = await postForData<{ explainStatus: Explanation }>(server, server.apiKey, EXPLAIN, { userId });
  const socket = await GraphqlSocket.open(server, server.apiKey);
  const other = await socket.executeForData<{ explainStatus: Explanation }>(EXPLAIN, { userId });
  await socket.close();
  const withoutTimes = ({ asOf: _, because, ...rest }: Explanation) => ({
    ...rest,
    because: because.replace(/\d+ m?s ago/g, ''),
  });
  expect(withoutTimes(other.explainStatus)).toEqual(withoutTimes(http.explainStatus));
  return http.explainStatus;
};

test('the predicted next status change happens with the predicted reason and not earlier', async () => {
  await updatePolicy(server, {
    multiDevice: { mode: 'MULTI' },
    platforms: [{ platform: 'WEB', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_500 }],
  });
  const alice = newUserId('alice');
  const web = await logIn(server, alice, 'WEB', 'tab');
  const watcher = await Watcher.open(server, [alice]);
  const { nextStatusChange, because } = await explainUser(alice);
  expect(because).toMatch(
    /^ONLINE because WEB device "tab" .* it ends \(HEARTBEAT_TIMEOUT\) and the user is OFFLINE\.$/,
  );
  expect(nextStatusChange).toMatchObject({ sessionId: web.sessionId, reason: 'HEARTBEAT_TIMEOUT', becomes: 'OFFLINE' });

  await watcher.changes.nextMatching(({ status }) => status === 'OFFLINE');
  const after = await explainUser(alice);
  expect(after).toMatchObject({
    userStatus: { status: 'OFFLINE', version: 2 },
    decidedBy: null,
    nextDeadline: null,
    nextStatusChange: null,
    sessions: [],
    events: [{ reason: 'HEARTBEAT_TIMEOUT', status: 'OFFLINE' }, { reason: 'LOGIN' }],
  });
  expect(Date.parse(after.events[0]?.occurredAt ?? '')).toBeGreaterThanOrEqual(Date.parse(nextStatusChange?.at ?? ''));
});

test('explains an attached session, a PUSH_ONLINE session, a logout and an unknown user', async () => {
  const alice = newUserId('alice');
  const phone = await logIn(server, alice, 'IPHONE', 'phone');
  const socket = await GraphqlSocket.open(server, phone.token);
  expect(await explainUser(alice)).toMatchObject({
    decidedBy: { id: phone.sessionId, attached: true },
    sessions: [{ session: { status: 'ONLINE' }, sockets: 1, nextDeadline: { reason: 'HEARTBEAT_TIMEOUT' } }],
  });
  await socket.close();
  await expect.poll(async () => (await fetchUser(server, alice)).status, { timeout: 5_000 }).toBe('PUSH_ONLINE');
  expect(await explainUser(alice)).toMatchObject({
    because: expect.stringMatching(/^PUSH_ONLINE because IPHONE device "phone"/) as string,
    nextStatusChange: { reason: 'PUSH_EXPIRED', becomes: 'OFFLINE' },
    events: [{ reason: 'DISCONNECT' }, { reason: 'LOGIN' }],
  });
  await logOut(server, phone);
  expect((await explainUser(alice)).because).toMatch(/^OFFLINE because the last session ended at .* \(LOGOUT\)/);
  expect((await explainUser(newUserId())).because).toContain('there is no record of this user');
});
