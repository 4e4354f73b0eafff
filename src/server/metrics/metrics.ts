/**
 * Everything that is measured, by the names that dashboards and alerts know: docs/operations.md says what
 * each of them means. Labels have few values, all of them ours: what a client chooses is never one.
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Application } from '../../app/application.ts';
import type { Histogram } from '../../app/shared/histogram.ts';
import type { WebhookStats } from '../../app/ports/webhook-stats.ts';
import { PLATFORMS } from '../../core/enums.ts';
import type { Transport, ServerCounters } from './counters.ts';
import { registerCounter, registerGauge, registerHistogram, type MetricSample } from './exposition.ts';
import { SessionEventCounters } from './event-counters.ts';
import { registerWebhookMetrics } from './webhook-metrics.ts';

/** How the store's disk does. */
export interface StorageMetrics {
  readonly commitMetrics: {
    readonly durations: Histogram;
    readonly entryCounts: Histogram;
    readonly failedCount: number;
  };
  readDiskUsage(): Promise<{ readonly databaseBytes: number; readonly walBytes: number; readonly freeBytes: number }>;
}

export interface MetricsSources {
  readonly application: Application;
  readonly counters: ServerCounters;
  readonly sweeper: { readonly backlog: number };
  /** Null: the store has no disk. */
  readonly storage: StorageMetrics | null;
  readonly webhooks: () => WebhookStats;
  readonly maxSockets: number;
  /** Of this server. */
  readonly version: string;
}

export interface Metrics {
  readonly contentType: string;
  /** All of them as Prometheus reads them. */
  render(): Promise<string>;
}

const SECONDS_PER_MS = 0.001;
/** Lists of every open socket, made anew for each reading: with many of them everybody would wait for that. */
const TOO_DEAR = /^(process_open_fds|nodejs_active_(handles|requests|resources))/;

export const createMetrics = (sources: MetricsSources): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const { name } of registry.getMetricsAsArray()) if (TOO_DEAR.test(name)) registry.removeSingleMetric(name);
  build(registry, sources);
  presence(registry, sources);
  watching(registry, sources);
  sockets(registry, sources);
  operations(registry, sources);
  registerWebhookMetrics(registry, sources.webhooks, () => sources.application.store.now());
  if (sources.storage !== null) storage(registry, sources.storage);
  return { contentType: registry.contentType, render: () => registry.metrics() };
};

const build = (registry: Registry, { version }: MetricsSources): void => {
  registerGauge(
    registry,
    { name: 'porchlight_build_info', help: 'Always 1; the version says what runs.', labels: ['version', 'node'] },
    () => [[{ version, node: process.versions.node }, 1]],
  );
};

const presence = (registry: Registry, { application: { store, tracker }, sweeper }: MetricsSources): void => {
  registerGauge(
    registry,
    { name: 'porchlight_users', help: 'Users who are not OFFLINE, by status.', labels: ['status'] },
    () => {
      const { usersOnline, usersPushOnline } = store.getPresenceCounts();
      return [
        [{ status: 'ONLINE' }, usersOnline],
        [{ status: 'PUSH_ONLINE' }, usersPushOnline],
      ];
    },
  );
  registerGauge(
    registry,
    { name: 'porchlight_sessions', help: 'Live sessions, by platform and status.', labels: ['platform', 'status'] },
    () => {
      const { sessions } = store.getPresenceCounts();
      return PLATFORMS.flatMap((platform): MetricSample[] => [
        [{ platform, status: 'ONLINE' }, sessions[platform].online],
        [{ platform, status: 'PUSH_ONLINE' }, sessions[platform].pushOnline],
      ]);
    },
  );
  const transitions = new SessionEventCounters(store);
  registerCounter(
    registry,
    {
      name: 'porchlight_session_events_total',
      help: 'Events of sessions, by reason and platform; LOGIN counts the logins.',
      labels: ['reason', 'platform'],
    },
    function* () {
      for (const [reason, counts] of transitions.eventsByReason)
        for (const [platform, count] of counts) yield [{ reason, platform }, count];
    },
  );
  registerCounter(
    registry,
    { name: 'porchlight_status_changes_total', help: 'Changes of users’ statuses and texts, which watchers are told.' },
    () => one(transitions.statusChanges),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_signs_of_life_total',
      help: 'Heartbeats, and other signs of life that reached the store (several at once over a socket are one).',
      labels: ['kind'],
    },
    () => [
      [{ kind: 'heartbeat' }, tracker.heartbeatCount],
      [{ kind: 'other' }, tracker.activityCount],
    ],
  );
  registerHistogram(
    registry,
    {
      name: 'porchlight_timer_lateness_seconds',
      help: 'How long after a deadline its user was woken: timeouts, expiries, ends of a grace.',
    },
    SECONDS_PER_MS,
    () => [[{}, tracker.timeoutLateness]],
  );
  registerGauge(
    registry,
    { name: 'porchlight_due_users', help: 'Users whose deadline has come and who were not yet woken.' },
    () => one(sweeper.backlog),
  );
  registerGauge(
    registry,
    { name: 'porchlight_waiting_changes', help: 'Changes that are decided and not yet on the disk.' },
    () => one(store.getWriteBacklog().pendingChanges),
  );
  registerGauge(
    registry,
    { name: 'porchlight_waiting_seconds', help: 'For how long the oldest of the waiting changes has been waiting.' },
    () => one(store.getWriteBacklog().oldestPendingMs * SECONDS_PER_MS),
  );
};

const watching = (
  registry: Registry,
  { application: { statusWatchers: watchers, eventFeed: feed } }: MetricsSources,
): void => {
  registerGauge(
    registry,
    { name: 'porchlight_watchers', help: 'Open subscriptions, by what they follow.', labels: ['of'] },
    () => [
      [{ of: 'statuses' }, watchers.watcherCount],
      [{ of: 'feed' }, feed.subscriberCount],
    ],
  );
  registerGauge(registry, { name: 'porchlight_watched_users', help: 'Users whom somebody watches.' }, () =>
    one(watchers.watchedUserCount),
  );
  registerCounter(
    registry,
    { name: 'porchlight_deliveries_total', help: 'Changes told to watchers, each as often as somebody was told it.' },
    () => one(watchers.deliveredCount),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_conflated_total',
      help: 'Changes that a watcher was not told, because she was told a newer one of the same user instead.',
    },
    () => one(watchers.conflatedCount),
  );
  registerHistogram(
    registry,
    {
      name: 'porchlight_fanout_delay_seconds',
      help: 'From the commit of a change until it is written to a watcher; of several in one list, the oldest.',
    },
    SECONDS_PER_MS,
    () => [[{}, watchers.deliveryDelays]],
  );
};

const sockets = (registry: Registry, { counters: counts, maxSockets }: MetricsSources): void => {
  registerGauge(
    registry,
    { name: 'porchlight_sockets', help: 'Open sockets, by who speaks on them.', labels: ['caller'] },
    () => Object.entries(counts.openSockets).map(([caller, count]): MetricSample => [{ caller }, count]),
  );
  registerGauge(registry, { name: 'porchlight_sockets_limit', help: 'How many sockets may be open.' }, () =>
    one(maxSockets),
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_sockets_behind',
      help: 'Sockets whose clients have news waiting and have yet to read what was sent before.',
    },
    () => one(counts.backloggedSockets),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_sockets_closed_total',
      help: 'Sockets closed, by the code that the server gave; `client`: she went by herself, 1006: cut off without a word.',
      labels: ['code'],
    },
    () => labelled('code', counts.closedSockets),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_upgrades_refused_total',
      help: 'Upgrades to a socket that were refused, by HTTP status.',
      labels: ['status'],
    },
    () => labelled('status', counts.rejectedUpgrades),
  );
};

const operations = (registry: Registry, { counters: counts }: MetricsSources): void => {
  const doors = Object.entries(counts.operations) as [Transport, ServerCounters['operations'][Transport]][];
  registerCounter(
    registry,
    {
      name: 'porchlight_operations_total',
      help: 'Operations answered (a subscription: begun), by door and kind; `invalid`: too wrong to have a kind.',
      labels: ['door', 'kind'],
    },
    () =>
      doors.flatMap(([door, { answered }]) =>
        Object.entries(answered).map(([kind, count]): MetricSample => [{ door, kind }, count]),
      ),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_errors_total',
      help: 'Errors that operations were answered with, by door and extensions.code.',
      labels: ['door', 'code'],
    },
    () =>
      doors.flatMap(([door, { errors }]) =>
        Array.from(errors, ([code, count]): MetricSample => [{ door, code }, count]),
      ),
  );
  registerHistogram(
    registry,
    {
      name: 'porchlight_operation_seconds',
      help: 'Time from a query or mutation being read until its answer is written, by door.',
    },
    SECONDS_PER_MS,
    () => doors.map(([door, { durations: took }]) => [{ door }, took]),
  );
  registerCounter(
    registry,
    { name: 'porchlight_faults_total', help: 'Errors of the server’s own, each of which is logged.' },
    () => one(counts.internalErrors),
  );
  registerCounter(
    registry,
    { name: 'porchlight_http_responses_total', help: 'HTTP responses, by class of status.', labels: ['status'] },
    () => labelled('status', counts.httpResponses),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_refusals_total',
      help: 'What was refused at the door because of a limit, by which.',
      labels: ['of'],
    },
    () => Object.entries(counts.rejections).map(([of, count]): MetricSample => [{ of }, Number(count)]),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_jwks_failures_total',
      help: 'Times that the keys of users’ tokens could not be fetched when one was to be checked.',
    },
    () => one(counts.jwksFailures),
  );
};

const storage = (registry: Registry, figures: StorageMetrics): void => {
  const { commitMetrics: commits } = figures;
  registerHistogram(
    registry,
    {
      name: 'porchlight_commit_seconds',
      help: 'From when a commit is sent to the thread that writes until it is known to be on disk.',
    },
    SECONDS_PER_MS,
    () => [[{}, commits.durations]],
  );
  registerHistogram(registry, { name: 'porchlight_commit_entries', help: 'Changes written in one commit.' }, 1, () => [
    [{}, commits.entryCounts],
  ]);
  registerCounter(
    registry,
    {
      name: 'porchlight_commits_failed_total',
      help: 'Commits that could not be written; nothing of them has changed.',
    },
    () => one(commits.failedCount),
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_database_bytes',
      help: 'Size of the database and of its write-ahead log; NaN when the files cannot be looked at.',
      labels: ['file'],
    },
    async () => {
      const { databaseBytes, walBytes } = await diskOf(figures);
      return [
        [{ file: 'database' }, databaseBytes],
        [{ file: 'wal' }, walBytes],
      ];
    },
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_disk_free_bytes',
      help: 'What may still be written to the disk of the database; NaN likewise.',
    },
    async () => one((await diskOf(figures)).freeBytes),
  );
};

/** A file that is gone is told as such, and keeps nobody from all the other figures. */
const diskOf = async (figures: StorageMetrics): ReturnType<StorageMetrics['readDiskUsage']> => {
  try {
    return await figures.readDiskUsage();
  } catch {
    return { databaseBytes: NaN, walBytes: NaN, freeBytes: NaN };
  }
};

const one = (value: number): readonly MetricSample[] => [[{}, value]];

const labelled = (label: string, counts: Iterable<[string, number]>): readonly MetricSample[] =>
  Array.from(counts, ([word, count]): MetricSample => [{ [label]: word }, count]);
