/** "Why is she shown online?", asked at both doors of a whole server, and held against what then happens. */
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

interface Predicted {
  readonly at: string;
  readonly reason: string;
  readonly sessionId: string;
  readonly becomes: string;
}

interface Explained {
  readonly asOf: string;
  readonly because: string;
  readonly userStatus: { readonly status: string; readonly version: number };
  readonly decidedBy: { readonly id: string; readonly attached: boolean } | null;
  readonly nextDeadline: Predicted | null;
  readonly nextStatusChange: Predicted | null;
  readonly sessions: readonly { readonly sockets: number }[];
  readonly events: readonly { readonly reason: string; readonly occurredAt: string }[];
}

/** Over HTTP and over a socket: the same, but for how long ago everything was. */
const explained = async (userId: string): Promise<Explained> => {
  const http = await postForData<{ explainStatus: Explained }>(server, server.apiKey, EXPLAIN, { userId });
  const socket = await GraphqlSocket.open(server, server.apiKey);
  const other = await socket.executeForData<{ explainStatus: Explained }>(EXPLAIN, { userId });
  await socket.close();
  const timeless = ({ asOf: _, because, ...rest }: Explained) => ({
    ...rest,
    because: because.replace(/\d+ m?s ago/g, ''),
  });
  expect(timeless(other.explainStatus)).toEqual(timeless(http.explainStatus));
  return http.explainStatus;
};

test('what is predicted is what happens', async () => {
  await updatePolicy(server, {
    multiDevice: { mode: 'MULTI' },
    platforms: [{ platform: 'WEB', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_500 }],
  });
  const alice = newUserId('alice');
  const web = await logIn(server, alice, 'WEB', 'tab');
  const watcher = await Watcher.open(server, [alice]);
  const { nextStatusChange, because } = await explained(alice);
  expect(because).toMatch(
    /^ONLINE because WEB device "tab" .* it ends \(HEARTBEAT_TIMEOUT\) and the user is OFFLINE\.$/,
  );
  expect(nextStatusChange).toMatchObject({ sessionId: web.sessionId, reason: 'HEARTBEAT_TIMEOUT', becomes: 'OFFLINE' });

  await watcher.changes.nextMatching(({ status }) => status === 'OFFLINE');
  const after = await explained(alice);
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

test('who is attached, who is PUSH_ONLINE, who logged out', async () => {
  const alice = newUserId('alice');
  const phone = await logIn(server, alice, 'IPHONE', 'phone');
  const link = await GraphqlSocket.open(server, phone.token);
  expect(await explained(alice)).toMatchObject({
    decidedBy: { id: phone.sessionId, attached: true },
    sessions: [{ session: { status: 'ONLINE' }, sockets: 1, nextDeadline: { reason: 'HEARTBEAT_TIMEOUT' } }],
  });
  await link.close();
  await expect.poll(async () => (await fetchUser(server, alice)).status, { timeout: 5_000 }).toBe('PUSH_ONLINE');
  expect(await explained(alice)).toMatchObject({
    because: expect.stringMatching(/^PUSH_ONLINE because IPHONE device "phone"/) as string,
    nextStatusChange: { reason: 'PUSH_EXPIRED', becomes: 'OFFLINE' },
    events: [{ reason: 'DISCONNECT' }, { reason: 'LOGIN' }],
  });
  await logOut(server, phone);
  expect((await explained(alice)).because).toMatch(/^OFFLINE because the last session ended at .* \(LOGOUT\)/);
  expect((await explained(newUserId())).because).toContain('nothing is known of this user');
});
