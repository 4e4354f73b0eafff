/** Retention over days and weeks, and a wall clock that jumps. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DAY_MS, wallClockOffset, createJumpingClock, mintTokenInDays } from '../../support/crash/fake-clock.ts';
import { readLog } from '../../support/crash/log-checks.ts';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { retryUntilPasses, openStream } from '../../support/crash/event-stream.ts';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  fetchEvents,
  fetchLatestCursor,
  logIn,
  LOGIN,
  type LoginResult,
  logOut,
  createPushOnlineDevice,
  fetchEventSummaries,
  fetchUser,
} from '../support/users.ts';
import { isMissing } from '../../support/optional-tools.ts';

const LACKS_FAKETIME = isMissing('faketime', 'restarts days later, and jumps of the wall clock');

const ME = '{ me { id } }';

const eventsAfter = (server: PorchlightProcess, after: string) =>
  postOperation<{ events: { nodes: readonly unknown[] } }>(
    server,
    server.apiKey,
    'query ($after: Cursor) { events(after: $after) { nodes { userId } } }',
    { after },
  );

test.skipIf(LACKS_FAKETIME)('ended sessions, events and users are kept for the documented number of days', async () => {
  await using harness = createRestartHarness();
  const first = await harness.start();
  const cursor = await fetchLatestCursor(first);
  const ended = await logIn(first, 'bob', 'WEB');
  await logOut(first, ended);
  for (let logins = 0; logins < 3; logins++) await logOut(first, await logIn(first, 'dave', 'LINUX'));
  await createPushOnlineDevice(first, 'carol', 'IPHONE');
  const online = await logIn(first, 'erin', 'ANDROID');
  const userBefore = await fetchUser(first, 'dave');
  expect(userBefore).toMatchObject({ status: 'OFFLINE', version: 6 });
  await first.stop();

  const onDay6 = await harness.start(wallClockOffset(6));
  expect((await postOperation(onDay6, ended.token, ME)).errors?.[0]?.extensions).toMatchObject({
    code: 'SESSION_ENDED',
    reason: 'LOGOUT',
  });
  expect(await fetchUser(onDay6, 'carol')).toMatchObject({ status: 'PUSH_ONLINE', version: 2 });
  expect(await fetchUser(onDay6, 'dave')).toEqual(userBefore);
  await onDay6.stop();

  const onDay8 = await harness.start(wallClockOffset(8));
  await retryUntilPasses(async () => expect((await fetchUser(onDay8, 'carol')).status).toBe('OFFLINE'));
  expect((await fetchEventSummaries(onDay8, 'carol')).at(-1)).toBe(
    'IPHONE PUSH_EXPIRED OFFLINE: PUSH_ONLINE > OFFLINE v3',
  );
  expect(codeOf(await postOperation(onDay8, ended.token, ME)), 'ended sessions are kept for 7 days').toBe(
    'UNAUTHENTICATED',
  );
  expect(await postForData(onDay8, online.token, ME), 'no session ends because the server was down').toEqual({
    me: { id: online.sessionId },
  });
  expect(await fetchUser(onDay8, 'dave'), 'users are kept as long as events').toEqual(userBefore);
  expect((await eventsAfter(onDay8, cursor)).data?.events.nodes.length).toBeGreaterThan(0);
  await onDay8.stop();

  // Everything except the events of day 8 is older than the retention of 30 days.
  const onDay35 = await harness.start(wallClockOffset(35));
  await retryUntilPasses(async () => expect(codeOf(await eventsAfter(onDay35, cursor))).toBe('CURSOR_EXPIRED'));
  const stream = openStream(
    onDay35,
    onDay35.apiKey,
    'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor } }',
    {
      after: cursor,
    },
  );
  expect(codeOf(await stream.inbox.next())).toBe('CURSOR_EXPIRED');
  const kept = await readLog(onDay35);
  expect(kept.map(({ userId, reason }) => [userId, reason])).toEqual([['carol', 'PUSH_EXPIRED']]);
  expect(await fetchUser(onDay35, 'carol')).toMatchObject({ status: 'OFFLINE', version: 3 });
  for (const userId of ['bob', 'dave']) {
    await retryUntilPasses(async () =>
      expect(await fetchUser(onDay35, userId), 'the user is like an unknown one').toEqual({
        ...(await fetchUser(onDay35, 'never seen')),
        userId,
      }),
    );
  }
  expect(await fetchUser(onDay35, 'dave')).toMatchObject({
    version: 0,
    reason: null,
    changedAt: null,
    lastSeenAt: null,
  });
  const jwt = await mintTokenInDays(35, 'dave');
  await postForData<LoginResult>(onDay35, jwt, LOGIN, { input: { platform: 'LINUX' } });
  expect((await fetchUser(onDay35, 'dave')).version, 'the version is higher than all earlier ones').toBeGreaterThan(
    userBefore.version,
  );
  const [loginEvent] = await fetchEvents(onDay35, 'dave');
  expect(Math.abs(Date.parse(loginEvent?.occurredAt ?? '') - Date.now() - 35 * DAY_MS)).toBeLessThan(60_000);
});

test.skipIf(LACKS_FAKETIME)(
  'a cursor older than a short retention has expired, while users and ended sessions are kept',
  async () => {
    await using harness = createRestartHarness({ PORCHLIGHT_EVENT_RETENTION: '2s' });
    const server = await harness.start();
    const cursor = await fetchLatestCursor(server);
    const device = await logIn(server, 'alice', 'WEB');
    await logOut(server, device);
    const latest = await fetchLatestCursor(server);
    await retryUntilPasses(
      async () => expect(codeOf(await eventsAfter(server, cursor))).toBe('CURSOR_EXPIRED'),
      10_000,
    );
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const feedResult = await socket.execute(
      'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor } }',
      {
        after: cursor,
      },
    );
    expect(codeOf(feedResult)).toBe('CURSOR_EXPIRED');
    expect(await eventsAfter(server, latest)).toMatchObject({ data: { events: { nodes: [] } } });
    expect(await fetchEvents(server, 'alice')).toEqual([]);
    expect(await fetchUser(server, 'alice')).toMatchObject({ status: 'OFFLINE', version: 2, reason: 'LOGOUT' });
    expect((await postOperation(server, device.token, ME)).errors?.[0]?.extensions).toMatchObject({ reason: 'LOGOUT' });
    await server.stop();

    const after = await harness.start();
    expect(codeOf(await eventsAfter(after, cursor)), 'the cursor stays expired after a restart').toBe('CURSOR_EXPIRED');
    expect(await eventsAfter(after, latest)).toMatchObject({ data: { events: { nodes: [] } } });
    await logIn(after, 'alice', 'WEB');
    const [event] = (await readLog(after, latest)) ?? [];
    expect(event).toMatchObject({ userId: 'alice', version: 3, reason: 'LOGIN' });
  },
);

test.skipIf(LACKS_FAKETIME)(
  'a wall clock that jumps under a running server times out and expires nothing',
  async () => {
    await using harness = createRestartHarness();
    const clock = createJumpingClock(join(harness.directory, 'clock'));
    const server = await harness.start(clock.env);
    const cursor = await fetchLatestCursor(server);
    const ended = await logIn(server, 'bob', 'WEB');
    await logOut(server, ended);
    const page = await logIn(server, 'page', 'WEB');
    await createPushOnlineDevice(server, 'push', 'IPHONE');
    for (const days of [100, -100, 0]) {
      clock.jumpTo(days);
      await sendHeartbeat(server, page);
      // This login is committed after any effect of the jump.
      await logIn(server, `after ${days}`, 'WEB');
    }
    clock.jumpTo(100);
    expect(await fetchEventSummaries(server, 'page')).toEqual(['WEB LOGIN ONLINE: OFFLINE > ONLINE v1']);
    expect(await fetchUser(server, 'push')).toMatchObject({ status: 'PUSH_ONLINE', version: 2 });
    expect((await postOperation(server, ended.token, ME)).errors?.[0]?.extensions).toMatchObject({
      code: 'SESSION_ENDED',
    });
    expect((await eventsAfter(server, cursor)).errors).toBeUndefined();
    const jwt = await mintToken('a token of today');
    expect((await postOperation(server, jwt, LOGIN, { input: { platform: 'WEB' } })).errors).toBeUndefined();
    const times = (await readLog(server)).map(({ occurredAt }) => Date.parse(occurredAt));
    expect(times).toEqual([...times].sort((one, other) => one - other));
    for (const time of times) expect(Math.abs(time - Date.now())).toBeLessThan(60_000);
  },
);

test.skipIf(LACKS_FAKETIME)(
  'after a restart with the wall clock set back a day and another time zone, versions rise and cursors and expiry times stay valid',
  async () => {
    const platforms = [{ platform: 'WEB', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 2_000 }];
    await using harness = createRestartHarness({ PORCHLIGHT_PLATFORMS: JSON.stringify(platforms) });
    const first = await harness.start({ TZ: 'Pacific/Apia' });
    const page = await logIn(first, 'page', 'WEB');
    await createPushOnlineDevice(first, 'push', 'IPHONE');
    const times = (await readLog(first)).map(({ occurredAt }) => occurredAt);
    for (const time of times) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    for (const time of times) expect(Math.abs(Date.parse(time) - Date.now())).toBeLessThan(60_000);
    const cursor = await fetchLatestCursor(first);
    const before = await readLog(first);
    await first.stop();

    const second = await harness.start({ ...wallClockOffset(-1), TZ: 'America/St_Johns' });
    // The session gets one full timeout, not an additional day.
    expect(await fetchUser(second, 'page')).toMatchObject({ status: 'ONLINE', version: 1 });
    await retryUntilPasses(async () =>
      expect(await fetchUser(second, 'page')).toMatchObject({ status: 'OFFLINE', version: 2 }),
    );
    expect(await fetchUser(second, 'push')).toMatchObject({ status: 'PUSH_ONLINE', version: 2 });
    const yesterday = await mintTokenInDays(-1, 'page');
    await postForData<LoginResult>(second, yesterday, LOGIN, { input: { platform: 'WEB' } });
    expect((await fetchUser(second, 'page')).version).toBe(3);
    expect(codeOf(await postOperation(second, page.token, ME))).toBe('SESSION_ENDED');
    const after = await readLog(second, cursor);
    expect(after.map(({ userId, reason, version }) => [userId, reason, version])).toEqual([
      ['page', 'HEARTBEAT_TIMEOUT', 2],
      ['page', 'LOGIN', 3],
    ]);
    expect(await readLog(second)).toEqual([...before, ...after]);
    for (const { occurredAt } of after) {
      expect(Math.abs(Date.parse(occurredAt) - Date.now() + DAY_MS)).toBeLessThan(60_000);
    }
    // By the clock that is one day back, a JWT that expired an hour ago is still valid.
    const jwt = await mintToken('late', { expiresInS: -3_600 });
    expect(codeOf(await postOperation(second, jwt, LOGIN, { input: { platform: 'WEB' } }))).toBeNull();
    await second.stop();

    const third = await harness.start(wallClockOffset(6.99));
    expect(await fetchUser(third, 'push')).toMatchObject({ status: 'PUSH_ONLINE', version: 2 });
    await third.stop();
    const fourth = await harness.start(wallClockOffset(7.01));
    await retryUntilPasses(async () =>
      expect(await fetchUser(fourth, 'push')).toMatchObject({ status: 'OFFLINE', version: 3 }),
    );
  },
);
