/** The /metrics endpoint: access, names, and the event that changes each metric. */
import { generateKeyPair, SignJWT } from 'jose';
import { describe, expect, test, vi } from 'vitest';
import { parseUserId } from '../../../src/core/ids.ts';
import { createMetrics, type MetricsSources } from '../../../src/server/metrics/metrics.ts';
import { LabelledCounter, ServerCounters } from '../../../src/server/metrics/counters.ts';
import { Histogram } from '../../../src/app/shared/histogram.ts';
import type { AttemptReport } from '../../../src/app/ports/webhook-store.ts';
import { changedMetrics, readMetrics, type MetricValues } from '../../support/prometheus.ts';
import { ACCEPTED_REPORT } from '../../unit/app/webhooks/webhook-parts.ts';
import { ABORTED_REPORT } from '../../unit/webhooks/support/fake-sender.ts';
import { API_KEY, ServerHarness, LOGIN, METRICS_TOKEN } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

const read = (harness: ServerHarness, authorization?: string, method = 'GET'): Promise<Response> =>
  fetch(`${harness.url}/metrics`, { method, headers: authorization === undefined ? {} : { authorization } });

/** @returns the metrics that an action changes, by how much. `prefix` selects metrics by name. */
const changesBy = async (
  harness: ServerHarness,
  action: () => unknown,
  prefix?: string,
): Promise<Record<string, number>> => {
  const before = await harness.metrics();
  await action();
  return changedMetrics(before, await harness.metrics(), prefix);
};

/** Expects an action to change the webhook metrics as given, except the age of waiting events. */
const expectWebhookChanges = async (
  harness: ServerHarness,
  action: () => unknown,
  expected: Record<string, number>,
): Promise<void> => {
  const figures = async (): Promise<MetricValues> => {
    const all = [...(await harness.metrics())];
    return new Map(all.filter(([name]) => !name.startsWith('porchlight_webhook_waiting')));
  };
  const before = await figures();
  await action();
  const changes = async () => changedMetrics(before, await figures(), 'porchlight_webhook');
  await expect.poll(changes, { timeout: 10_000 }).toEqual(expected);
};

const sourcesOf = (
  { application: porchlight, engine }: ServerHarness,
  sources: Partial<MetricsSources>,
): MetricsSources => ({
  application: porchlight,
  counters: new ServerCounters(),
  sweeper: { backlog: 0 },
  storage: null,
  webhooks: () => engine.collectStats(),
  maxSockets: 1,
  version: '',
  ...sources,
});

const SET_TEXT = 'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }';
const CREATE_WEBHOOK = 'mutation { createWebhook(input: {url: "https://hooks.example/"}) { webhook { id } } }';
const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status } }';

describe('access to /metrics', () => {
  test('is allowed with an API key or the metrics token', async () => {
    const harness = await ServerHarness.open();
    for (const token of [API_KEY, METRICS_TOKEN]) {
      const response = await read(harness, `Bearer ${token}`);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
      expect(response.headers.get('cache-control')).toBe('no-store');
      expect(await response.text()).toContain('porchlight_users{status="ONLINE"} 0\n');
    }
  });

  test('is denied with 401 to users, sessions and invalid credentials', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const jwt = await harness.jwt('alice');
    const wrong = [`Bearer ${token}`, `Bearer ${jwt}`, `Bearer ${METRICS_TOKEN}x`, METRICS_TOKEN, 'Basic x', 'Bearer'];
    for (const authorization of [undefined, ...wrong]) {
      const response = await read(harness, authorization);
      expect(response.status, authorization).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
      const text = await response.text();
      expect(text).toContain('API key or the metrics token');
      expect(text).not.toContain('porchlight_');
    }
  });

  test('is all that the metrics token allows', async () => {
    const harness = await ServerHarness.open();
    expect((await harness.post('{ stats { sockets } }', METRICS_TOKEN)).body.errors?.[0]?.extensions.code).toBe(
      'UNAUTHENTICATED',
    );
  });

  test('is allowed by GET and HEAD only', async () => {
    const harness = await ServerHarness.open();
    const head = await read(harness, `Bearer ${API_KEY}`, 'HEAD');
    expect([head.status, await head.text()]).toEqual([200, '']);
    for (const method of ['POST', 'PUT', 'DELETE']) {
      const response = await read(harness, `Bearer ${API_KEY}`, method);
      expect([response.status, response.headers.get('allow')], method).toEqual([405, 'GET, HEAD']);
    }
  });

  test('is answered with 404 when metrics are disabled', async () => {
    const harness = await ServerHarness.open({ metrics: false });
    expect((await read(harness, `Bearer ${API_KEY}`)).status).toBe(404);
  });
});

test('the names, types and help texts of all metrics are fixed, because dashboards and alerts use them', async () => {
  const harness = await ServerHarness.open();
  const storage = {
    commitMetrics: { durations: new Histogram([1]), entryCounts: new Histogram([1]), failedCount: 0 },
    readDiskUsage: () => Promise.resolve({ databaseBytes: 1, walBytes: 2, freeBytes: 3 }),
  };
  const text = await createMetrics(sourcesOf(harness, { storage })).render();
  const types = new Map(Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name, type]) => [name, type]));
  const described = Array.from(text.matchAll(/^# HELP (porchlight_\S+) (.*)$/gm), ([, name, help]) => {
    return `${name} ${types.get(name)}: ${help}`;
  });
  expect(described).toEqual([
    'porchlight_build_info gauge: Always 1; the labels hold the versions.',
    'porchlight_users gauge: Users who are not OFFLINE, by status.',
    'porchlight_sessions gauge: Live sessions, by platform and status.',
    'porchlight_session_events_total counter: Session events, by reason and platform; LOGIN counts the logins.',
    'porchlight_status_changes_total counter: Changes of users’ statuses and custom statuses, which watchers receive.',
    'porchlight_activity_total counter: Heartbeats, and other activity that reached the store; several messages of a socket may count as one.',
    'porchlight_timer_lateness_seconds histogram: Time from a deadline (timeout, expiry, end of a grace period) until it was processed.',
    'porchlight_due_users gauge: Users with a deadline that has passed and is not processed yet.',
    'porchlight_waiting_changes gauge: Changes that are not yet on disk.',
    'porchlight_waiting_seconds gauge: Age of the oldest change that is not yet on disk.',
    'porchlight_watchers gauge: Open subscriptions, by kind: statuses or feed.',
    'porchlight_watched_users gauge: Users with at least one watcher.',
    'porchlight_deliveries_total counter: Changes sent to watchers, counted once for each watcher.',
    'porchlight_conflated_total counter: Changes not sent to a watcher, because a newer change of the same user replaced them.',
    'porchlight_fanout_delay_seconds histogram: Time from the commit of a change until it is written to a watcher; of a list, the oldest change counts.',
    'porchlight_sockets gauge: Open sockets, by kind of caller.',
    'porchlight_sockets_limit gauge: Maximum number of open sockets.',
    'porchlight_sockets_backlogged gauge: Sockets with changes to send whose clients have not read what was sent before.',
    'porchlight_sockets_closed_total counter: Closed sockets, by the code that the server sent; `client`: closed by the client, 1006: no close frame.',
    'porchlight_upgrades_rejected_total counter: Rejected upgrades to WebSocket, by HTTP status.',
    'porchlight_operations_total counter: Operations answered or subscriptions started, by transport and kind; `invalid`: no operation was selected.',
    'porchlight_errors_total counter: Errors in the answers of operations, by transport and extensions.code.',
    'porchlight_operation_seconds histogram: Time from reading a query or mutation until its answer is written, by transport.',
    'porchlight_internal_errors_total counter: Internal errors of the server; each one is logged.',
    'porchlight_http_responses_total counter: HTTP responses, by class of status.',
    'porchlight_rejections_total counter: Requests, messages, operations, sockets and connections rejected or closed because of a limit, by kind.',
    'porchlight_jwks_failures_total counter: Failed attempts to fetch the JWKS for the check of a user’s token.',
    'porchlight_webhooks gauge: Webhooks, by state.',
    'porchlight_webhook_attempts_total counter: Delivery attempts, by outcome: TAKEN, REFUSED (a status other than 2xx) or UNANSWERED.',
    'porchlight_webhook_events_delivered_total counter: Events that receivers accepted, counted once for each receiver.',
    'porchlight_webhook_deliveries_dead_total counter: Deliveries given up, and times that retention deleted events before a webhook received them.',
    'porchlight_webhooks_gone_total counter: Times that a receiver answered 410, which sets its webhook to GONE.',
    'porchlight_webhook_isolated_users gauge: Users whose events a receiver refuses while it accepts others, counted once for each webhook.',
    'porchlight_webhook_waiting_seconds gauge: Age of the oldest event that waits for the receiver of an active webhook; 0: none waits.',
    'porchlight_commit_seconds histogram: Time from sending a commit to the writer thread until it is on disk.',
    'porchlight_commit_entries histogram: Changes in one commit.',
    'porchlight_commits_failed_total counter: Commits that failed; none of their changes took effect.',
    'porchlight_database_bytes gauge: Size of the database and of its write-ahead log; NaN when the files cannot be read.',
    'porchlight_disk_free_bytes gauge: Free space on the disk of the database; NaN when it cannot be read.',
  ]);
});

describe('metrics change', () => {
  test('with a login', async () => {
    const harness = await ServerHarness.open();
    const changes = await changesBy(harness, () => harness.login('alice', 'IPHONE'));
    expect(changes).toMatchObject({
      'porchlight_users{status="ONLINE"}': 1,
      'porchlight_sessions{platform="IPHONE",status="ONLINE"}': 1,
      'porchlight_session_events_total{reason="LOGIN",platform="IPHONE"}': 1,
      porchlight_status_changes_total: 1,
      'porchlight_operations_total{transport="http",kind="mutation"}': 1,
      'porchlight_operation_seconds_count{transport="http"}': 1,
    });
    expect(Object.keys(changes).filter((name) => name.includes('errors'))).toEqual([]);
  });

  test('with heartbeats and other activity', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const beat = 'mutation { heartbeat { session { id } } }';
    expect(await changesBy(harness, () => harness.post(beat, token), 'porchlight_activity')).toEqual({
      'porchlight_activity_total{kind="heartbeat"}': 1,
    });
    expect(await changesBy(harness, () => harness.post('{ me { id } }', token), 'porchlight_activity')).toEqual({
      'porchlight_activity_total{kind="other"}': 1,
    });
    const socket = await TestSocket.connect(harness.socketUrl, token);
    expect(await changesBy(harness, () => socket.execute(beat), 'porchlight_activity')).toEqual({
      'porchlight_activity_total{kind="heartbeat"}': 1,
    });
    expect(await changesBy(harness, () => socket.waitForRoundTrip(), 'porchlight_activity')).toEqual({
      'porchlight_activity_total{kind="other"}': 1,
    });
  });

  test('with a timeout, including its lateness', async () => {
    const harness = await ServerHarness.open();
    await harness.login('alice', 'IPHONE');
    expect(await changesBy(harness, () => harness.advanceTime(400_700))).toMatchObject({
      'porchlight_session_events_total{reason="HEARTBEAT_TIMEOUT",platform="IPHONE"}': 1,
      'porchlight_users{status="ONLINE"}': -1,
      'porchlight_users{status="PUSH_ONLINE"}': 1,
      'porchlight_timer_lateness_seconds_bucket{le="1"}': 1,
      porchlight_timer_lateness_seconds_count: 1,
    });
    expect((await harness.metrics()).get('porchlight_timer_lateness_seconds_bucket{le="0.5"}')).toBe(0);
  });

  test('with a watcher and its deliveries', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const watching = await changesBy(harness, async () => {
      socket.subscribe(WATCH, { ids: ['alice', 'bobSocket'] });
      await socket.nextMessage();
    });
    expect(watching).toMatchObject({
      'porchlight_watchers{kind="statuses"}': 1,
      porchlight_watched_users: 2,
      'porchlight_operations_total{transport="websocket",kind="subscription"}': 1,
    });
    const changes = await changesBy(harness, async () => {
      await harness.login('alice');
      await socket.nextMessage();
    });
    expect(changes).toMatchObject({ porchlight_deliveries_total: 1, porchlight_fanout_delay_seconds_count: 1 });
    expect(changes).not.toHaveProperty('porchlight_conflated_total');
    const afterClose = await changesBy(harness, async () => {
      socket.webSocket.close();
      await expect.poll(() => harness.application.statusWatchers.watcherCount).toBe(0);
    });
    expect(afterClose).toMatchObject({ 'porchlight_watchers{kind="statuses"}': -1, porchlight_watched_users: -2 });
  });

  test('with conflated changes', async () => {
    const harness = await ServerHarness.open();
    const watcher = harness.application.statusWatchers.watchUsers([parseUserId('alice')]);
    await watcher.takeSnapshot();
    const { token } = await harness.login('alice');
    for (const text of ['a', 'b']) {
      await harness.post(SET_TEXT, token, { text });
    }
    expect(await changesBy(harness, () => watcher.takeChanges(), 'porchlight_')).toMatchObject({
      porchlight_conflated_total: 2,
      porchlight_deliveries_total: 1,
    });
    watcher.onClosed();
  });

  test('with a subscriber of the event feed', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    socket.subscribe('subscription { presenceEvents { reason } }');
    await expect.poll(() => harness.application.eventFeed.subscriberCount).toBe(1);
    expect((await harness.metrics()).get('porchlight_watchers{kind="feed"}')).toBe(1);
  });

  test('with open sockets by caller, and with closed sockets by close code', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const open = await changesBy(
      harness,
      async () => {
        await new TestSocket(harness.socketUrl).opened;
        await TestSocket.connect(harness.socketUrl, API_KEY);
        await TestSocket.connect(harness.socketUrl, token);
        await TestSocket.connect(harness.socketUrl, await harness.jwt('bobSocket'));
      },
      'porchlight_sockets{',
    );
    expect(open).toEqual({
      'porchlight_sockets{caller="unauthenticated"}': 1,
      'porchlight_sockets{caller="backend"}': 1,
      'porchlight_sockets{caller="session"}': 1,
      'porchlight_sockets{caller="user"}': 1,
    });
    const bobSocket = await TestSocket.connect(harness.socketUrl, await harness.jwt('bobSocket'));
    expect(
      await changesBy(harness, () => bobSocket.execute(LOGIN, { input: { platform: 'MAC' } }), 'porchlight_sockets{'),
    ).toEqual({
      'porchlight_sockets{caller="user"}': -1,
      'porchlight_sockets{caller="session"}': 1,
    });
    const closed = await changesBy(
      harness,
      async () => {
        bobSocket.send({ type: 'connection_init' });
        await bobSocket.closed;
        const resetSocket = await TestSocket.connect(harness.socketUrl, API_KEY);
        resetSocket.resetTcp();
        const invalidSocket = await TestSocket.connect(harness.socketUrl, API_KEY);
        invalidSocket.webSocket.send(Buffer.from([0xff, 0xfe]), { binary: false });
        await invalidSocket.closed;
        await harness.post('mutation { endSessions(input: {userId: "alice"}) { ended { id } } }');
        await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(2);
      },
      'porchlight_sockets_closed',
    );
    expect(closed).toEqual({
      'porchlight_sockets_closed_total{code="4429"}': 1,
      'porchlight_sockets_closed_total{code="client"}': 1,
      'porchlight_sockets_closed_total{code="1007"}': 1,
      'porchlight_sockets_closed_total{code="4410"}': 1,
    });
  });

  test('with rejected upgrades by HTTP status', async () => {
    const harness = await ServerHarness.open();
    const rejected = await changesBy(
      harness,
      async () => {
        await new TestSocket(harness.socketUrl, { headers: { origin: 'https://evil.example' } }).closed;
        await new TestSocket(`${harness.socketUrl}/other`).closed;
      },
      'porchlight_upgrades',
    );
    expect(rejected).toEqual({
      'porchlight_upgrades_rejected_total{status="403"}': 1,
      'porchlight_upgrades_rejected_total{status="404"}': 1,
    });
  });

  test('with a socket whose client does not read', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { maxUnreadBytes: 64 * 1024 * 1024 } });
    const { token } = await harness.login('alice');
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    socket.subscribe(WATCH, { ids: ['alice'] });
    await socket.nextMessage();
    socket.tcpSocket.pause();
    const ids = Array.from({ length: 500 }, (_, at) => `${at}`.padEnd(128, 'x'));
    const query = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status version reason lastSeenAt } }';
    // 20 MB, which exceeds the buffers between client and server.
    for (let sent = 0; sent < 150; sent++) socket.subscribe(query, { ids });
    let textNumber = 0;
    const socketsBehind = async (): Promise<number | undefined> => {
      // A socket counts as behind only while a change waits for it.
      await harness.post(SET_TEXT, token, { text: `${(textNumber += 1)}` });
      return (await harness.metrics()).get('porchlight_sockets_backlogged');
    };
    await expect.poll(socketsBehind, { timeout: 10_000 }).toBe(1);
    socket.resetTcp();
    await expect.poll(async () => (await harness.metrics()).get('porchlight_sockets_backlogged')).toBe(0);
  });

  test.each([
    ['{ nonsense }', API_KEY, 'GRAPHQL_VALIDATION_FAILED', 'invalid'],
    ['{', API_KEY, 'GRAPHQL_PARSE_FAILED', 'invalid'],
    ['query A { stats { sockets } } query B { stats { sockets } }', API_KEY, 'OPERATION_RESOLUTION_FAILURE', 'invalid'],
    ['{ me { id } }', API_KEY, 'UNAUTHENTICATED', 'query'],
    ['mutation { heartbeat { session { id } } }', API_KEY, 'FORBIDDEN', 'mutation'],
    ['{ userStatus(userId: "") { status } }', API_KEY, 'BAD_USER_INPUT', 'query'],
  ])('with the error of %s, over both transports', async (query, credential, code, kind) => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, credential);
    const expected = (transport: string) => ({
      [`porchlight_errors_total{transport="${transport}",code="${code}"}`]: 1,
      [`porchlight_operations_total{transport="${transport}",kind="${kind}"}`]: 1,
    });
    const errors = (all: Record<string, number>) =>
      Object.fromEntries(Object.entries(all).filter(([name]) => /errors|operations_/.test(name)));
    expect(errors(await changesBy(harness, () => harness.post(query, credential)))).toEqual(expected('http'));
    expect(errors(await changesBy(harness, () => socket.execute(query)))).toEqual(expected('websocket'));
    // A GET takes another path through the server than a JSON POST.
    const byGet = (): Promise<Response> =>
      fetch(`${harness.url}/graphql?query=${encodeURIComponent(query)}`, {
        headers: { authorization: `Bearer ${credential}`, 'x-graphql-yoga-csrf': '1' },
      });
    if (kind !== 'mutation') expect(errors(await changesBy(harness, byGet))).toEqual(expected('http'));
  });

  test('with unauthenticated and malformed requests', async () => {
    const harness = await ServerHarness.open();
    const errors = await changesBy(
      harness,
      async () => {
        await harness.post('{ stats { sockets } }', 'wrong');
        await harness.send('{', { authorization: `Bearer ${API_KEY}` });
        await harness.send('query=x', { 'content-type': 'application/x-www-form-urlencoded' });
      },
      'porchlight_errors',
    );
    expect(errors).toEqual({
      'porchlight_errors_total{transport="http",code="UNAUTHENTICATED"}': 1,
      'porchlight_errors_total{transport="http",code="BAD_REQUEST"}': 2,
    });
  });

  test('with an internal error', async () => {
    const harness = await ServerHarness.open();
    vi.spyOn(harness.store, 'readUsers').mockRejectedValueOnce(new Error('disk on fire'));
    expect(await changesBy(harness, () => harness.post('{ userStatus(userId: "a") { status } }'))).toMatchObject({
      porchlight_internal_errors_total: 1,
      'porchlight_errors_total{transport="http",code="INTERNAL_SERVER_ERROR"}': 1,
    });
  });

  test('with a JWKS that cannot be fetched', async () => {
    const harness = await ServerHarness.open({ settings: { jwksUrl: new URL('http://127.0.0.1:1/keys') } });
    const { privateKey } = await generateKeyPair('RS256');
    const token = await new SignJWT({ sub: 'alice', exp: Math.floor(harness.now / 1_000) + 60 })
      .setProtectedHeader({ alg: 'RS256' })
      .sign(privateKey);
    expect(await changesBy(harness, () => harness.post('{ stats { sockets } }', token))).toMatchObject({
      porchlight_jwks_failures_total: 1,
      'porchlight_errors_total{transport="http",code="OVERLOADED"}': 1,
    });
  });

  test('with webhooks, delivery attempts and waiting events', async () => {
    const harness = await ServerHarness.open();
    const { sender: courier } = harness.webhooks;
    harness.engine.start();
    await expectWebhookChanges(harness, () => harness.post(CREATE_WEBHOOK), {
      'porchlight_webhooks{state="ACTIVE"}': 1,
    });
    await expectWebhookChanges(harness, () => harness.login('alice'), {
      'porchlight_webhook_attempts_total{outcome="TAKEN"}': 1,
      porchlight_webhook_events_delivered_total: 1,
    });

    let answer: (attempt: AttemptReport) => void = () => undefined;
    courier.nextReport = new Promise((resolve) => (answer = resolve));
    await harness.login('bobSocket');
    await expect.poll(() => courier.attempts.length).toBe(2);
    harness.advanceClock(7_000);
    const waiting = (await harness.metrics()).get('porchlight_webhook_waiting_seconds');
    expect(waiting).toBeGreaterThan(7);
    expect(waiting).toBeLessThan(60);
    const resumeReceiver = () => {
      courier.nextReport = ACCEPTED_REPORT;
      answer(ABORTED_REPORT);
    };
    await expectWebhookChanges(harness, resumeReceiver, {
      'porchlight_webhook_attempts_total{outcome="TAKEN"}': 1,
      'porchlight_webhook_attempts_total{outcome="UNANSWERED"}': 1,
      porchlight_webhook_events_delivered_total: 1,
    });
    expect((await harness.metrics()).get('porchlight_webhook_waiting_seconds')).toBe(0);
  });

  test('with dead deliveries and webhooks that are GONE', async () => {
    const harness = await ServerHarness.open({ retryForMs: 0 });
    const { sender: courier } = harness.webhooks;
    harness.engine.start();
    await expectWebhookChanges(harness, () => harness.post(CREATE_WEBHOOK), {
      'porchlight_webhooks{state="ACTIVE"}': 1,
    });
    courier.nextReport = { ...ACCEPTED_REPORT, status: 500, error: 'No.' };
    await expectWebhookChanges(harness, () => harness.login('alice'), {
      'porchlight_webhook_attempts_total{outcome="REFUSED"}': 1,
      porchlight_webhook_deliveries_dead_total: 1,
    });
    courier.nextReport = { ...ACCEPTED_REPORT, status: 410, error: 'It is gone.' };
    await expectWebhookChanges(harness, () => harness.login('bobSocket'), {
      'porchlight_webhook_attempts_total{outcome="REFUSED"}': 1,
      porchlight_webhooks_gone_total: 1,
      'porchlight_webhooks{state="ACTIVE"}': -1,
      'porchlight_webhooks{state="GONE"}': 1,
    });
  });

  test('with HTTP responses by status class', async () => {
    const harness = await ServerHarness.open();
    const responses = await changesBy(
      harness,
      async () => {
        await harness.status('alice');
        await fetch(`${harness.url}/nowhere`);
      },
      'porchlight_http',
    );
    // Reading the metrics is a request too.
    expect(responses).toEqual({
      'porchlight_http_responses_total{status="2xx"}': 2,
      'porchlight_http_responses_total{status="4xx"}': 1,
    });
  });
});

test('an unknown label value is counted under the fallback label, or throws without one', () => {
  const counts = new LabelledCounter(['known'], 'other');
  for (const word of ['known', 'one', 'another', '__proto__']) counts.increment(word);
  expect([...counts]).toEqual([
    ['known', 1],
    ['other', 3],
  ]);
  expect(() => new LabelledCounter(['known'], null).increment('one')).toThrow('The counter has no label one.');
});

test('values that clients choose create no new label values', async () => {
  const harness = await ServerHarness.open();
  const names = async (): Promise<string[]> =>
    [...(await harness.metrics()).keys()].filter((name) => !name.startsWith('nodejs_gc'));
  const before = await names();
  await Promise.all(
    Array.from({ length: 1_000 }, async (_, at) => {
      const platform = `PLATFORM_${at}`;
      await harness.post(`query Operation${at} { stats { sockets } }`, API_KEY, undefined, {
        'user-agent': `agent ${at}`,
      });
      await harness.post(
        LOGIN,
        await harness.jwt(`user ${at}`),
        { input: { platform } },
        { 'x-request-id': `id-${at}` },
      );
      await fetch(`${harness.url}/path-${at}`, { method: at % 2 === 0 ? 'GET' : 'PURGE' });
    }),
  );
  await Promise.all(
    Array.from({ length: 1_000 }, async (_, at) => {
      const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
      await socket.execute(`query Other${at} { field${at} }`);
      socket.webSocket.close(3_000 + at);
      await socket.closed;
    }),
  );
  expect(await names()).toEqual(before);
  expect(before.length).toBeLessThan(600);
  const total = sumOf(await harness.metrics(), 'porchlight_operations_total{transport="websocket"');
  expect(total).toBe(1_000);
}, 60_000);

const sumOf = (figures: MetricValues, prefix: string): number =>
  Array.from(figures).reduce((sum, [name, value]) => (name.startsWith(prefix) ? sum + value : sum), 0);

test('an unreadable database reports NaN for its sizes, and all other metrics stay available', async () => {
  const harness = await ServerHarness.open();
  const storage = {
    commitMetrics: { durations: new Histogram([1]), entryCounts: new Histogram([1]), failedCount: 7 },
    readDiskUsage: () => Promise.reject(new Error('gone')),
  };
  const figures = readMetrics(await createMetrics(sourcesOf(harness, { storage, sweeper: { backlog: 3 } })).render());
  expect(figures.get('porchlight_disk_free_bytes')).toBeNaN();
  expect(figures.get('porchlight_commits_failed_total')).toBe(7);
  expect(figures.get('porchlight_due_users')).toBe(3);
});

test('a histogram is rendered with cumulative buckets in seconds', async () => {
  const harness = await ServerHarness.open();
  const durations = new Histogram([1, 50, 2_500]);
  for (const ms of [0, 1, 2, 3_000]) durations.recordValue(ms);
  const storage = {
    commitMetrics: { durations, entryCounts: new Histogram([1]), failedCount: 0 },
    readDiskUsage: () => Promise.resolve({ databaseBytes: 0, walBytes: 0, freeBytes: 0 }),
  };
  const text = await createMetrics(sourcesOf(harness, { storage })).render();
  expect(text.split('\n').filter((line) => line.startsWith('porchlight_commit_seconds'))).toEqual([
    'porchlight_commit_seconds_bucket{le="0.001"} 2',
    'porchlight_commit_seconds_bucket{le="0.05"} 3',
    'porchlight_commit_seconds_bucket{le="2.5"} 3',
    'porchlight_commit_seconds_bucket{le="+Inf"} 4',
    'porchlight_commit_seconds_sum 3.003',
    'porchlight_commit_seconds_count 4',
  ]);
});
