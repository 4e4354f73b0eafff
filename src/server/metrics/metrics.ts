/**
 * All metrics, with the names that dashboards and alerts use. docs/operations.md describes each of them. Labels have few
 * values, all defined by the server: values that clients choose are never labels.
 */
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Application } from '../../app/application.ts';
import type { WebhookStats } from '../../app/ports/webhook-stats.ts';
import { PLATFORMS } from '../../core/enums.ts';
import type { Transport, ServerCounters } from './counters.ts';
import {
  labelledSamples,
  registerCounter,
  registerGauge,
  registerHistogram,
  SECONDS_PER_MS,
  singleSample,
  type MetricSample,
} from './exposition.ts';
import { registerStorageMetrics, type StorageMetrics } from './storage-metrics.ts';
import { SessionEventCounters } from './event-counters.ts';
import { registerWebhookMetrics } from './webhook-metrics.ts';

export interface MetricsSources {
  readonly application: Application;
  readonly counters: ServerCounters;
  readonly sweeper: { readonly backlog: number };
  /** Null: the store does not write to disk. */
  readonly storage: StorageMetrics | null;
  readonly webhooks: () => WebhookStats;
  readonly maxSockets: number;
  /** The version of this server. */
  readonly version: string;
}

export interface Metrics {
  readonly contentType: string;
  /** Returns all metrics in the text format of Prometheus. */
  render(): Promise<string>;
}

/** Default metrics that list every open socket at each scrape, which blocks the event loop when there are many. */
const EXPENSIVE_METRICS = /^(process_open_fds|nodejs_active_(handles|requests|resources))/;

export const createMetrics = (sources: MetricsSources): Metrics => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const { name } of registry.getMetricsAsArray())
    if (EXPENSIVE_METRICS.test(name)) registry.removeSingleMetric(name);
  registerBuildMetrics(registry, sources);
  registerPresenceMetrics(registry, sources);
  registerWatchMetrics(registry, sources);
  registerSocketMetrics(registry, sources);
  registerOperationMetrics(registry, sources);
  registerWebhookMetrics(registry, sources.webhooks, () => sources.application.store.now());
  if (sources.storage !== null) registerStorageMetrics(registry, sources.storage);
  return { contentType: registry.contentType, render: () => registry.metrics() };
};

const registerBuildMetrics = (registry: Registry, { version }: MetricsSources): void => {
  registerGauge(
    registry,
    { name: 'porchlight_build_info', help: 'Always 1; the labels hold the versions.', labels: ['version', 'node'] },
    () => [[{ version, node: process.versions.node }, 1]],
  );
};

const registerPresenceMetrics = (
  registry: Registry,
  { application: { store, tracker }, sweeper }: MetricsSources,
): void => {
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
  const eventCounters = new SessionEventCounters(store);
  registerCounter(
    registry,
    {
      name: 'porchlight_session_events_total',
      help: 'Session events, by reason and platform; LOGIN counts the logins.',
      labels: ['reason', 'platform'],
    },
    function* () {
      for (const [reason, counts] of eventCounters.eventsByReason)
        for (const [platform, count] of counts) yield [{ reason, platform }, count];
    },
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_status_changes_total',
      help: 'Changes of users’ statuses and custom statuses, which watchers receive.',
    },
    () => singleSample(eventCounters.statusChanges),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_activity_total',
      help: 'Heartbeats, and other activity that reached the store; several messages of a socket may count as one.',
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
      help: 'Time from a deadline (timeout, expiry, end of a grace period) until it was processed.',
    },
    SECONDS_PER_MS,
    () => [[{}, tracker.timeoutLateness]],
  );
  registerGauge(
    registry,
    { name: 'porchlight_due_users', help: 'Users with a deadline that has passed and is not processed yet.' },
    () => singleSample(sweeper.backlog),
  );
  registerGauge(registry, { name: 'porchlight_waiting_changes', help: 'Changes that are not yet on disk.' }, () =>
    singleSample(store.getWriteBacklog().pendingChanges),
  );
  registerGauge(
    registry,
    { name: 'porchlight_waiting_seconds', help: 'Age of the oldest change that is not yet on disk.' },
    () => singleSample(store.getWriteBacklog().oldestPendingMs * SECONDS_PER_MS),
  );
};

const registerWatchMetrics = (
  registry: Registry,
  { application: { statusWatchers: watchers, eventFeed: feed } }: MetricsSources,
): void => {
  registerGauge(
    registry,
    { name: 'porchlight_watchers', help: 'Open subscriptions, by kind: statuses or feed.', labels: ['kind'] },
    () => [
      [{ kind: 'statuses' }, watchers.watcherCount],
      [{ kind: 'feed' }, feed.subscriberCount],
    ],
  );
  registerGauge(registry, { name: 'porchlight_watched_users', help: 'Users with at least one watcher.' }, () =>
    singleSample(watchers.watchedUserCount),
  );
  registerCounter(
    registry,
    { name: 'porchlight_deliveries_total', help: 'Changes sent to watchers, counted once for each watcher.' },
    () => singleSample(watchers.deliveredCount),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_conflated_total',
      help: 'Changes not sent to a watcher, because a newer change of the same user replaced them.',
    },
    () => singleSample(watchers.conflatedCount),
  );
  registerHistogram(
    registry,
    {
      name: 'porchlight_fanout_delay_seconds',
      help: 'Time from the commit of a change until it is written to a watcher; of a list, the oldest change counts.',
    },
    SECONDS_PER_MS,
    () => [[{}, watchers.deliveryDelays]],
  );
};

const registerSocketMetrics = (registry: Registry, { counters, maxSockets }: MetricsSources): void => {
  registerGauge(
    registry,
    { name: 'porchlight_sockets', help: 'Open sockets, by kind of caller.', labels: ['caller'] },
    () => Object.entries(counters.openSockets).map(([caller, count]): MetricSample => [{ caller }, count]),
  );
  registerGauge(registry, { name: 'porchlight_sockets_limit', help: 'Maximum number of open sockets.' }, () =>
    singleSample(maxSockets),
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_sockets_backlogged',
      help: 'Sockets with changes to send whose clients have not read what was sent before.',
    },
    () => singleSample(counters.backloggedSockets),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_sockets_closed_total',
      help: 'Closed sockets, by the code that the server sent; `client`: closed by the client, 1006: no close frame.',
      labels: ['code'],
    },
    () => labelledSamples('code', counters.closedSockets),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_upgrades_rejected_total',
      help: 'Rejected upgrades to WebSocket, by HTTP status.',
      labels: ['status'],
    },
    () => labelledSamples('status', counters.rejectedUpgrades),
  );
};

const registerOperationMetrics = (registry: Registry, { counters }: MetricsSources): void => {
  const byTransport = Object.entries(counters.operations) as [Transport, ServerCounters['operations'][Transport]][];
  registerCounter(
    registry,
    {
      name: 'porchlight_operations_total',
      help: 'Operations answered or subscriptions started, by transport and kind; `invalid`: no operation was selected.',
      labels: ['transport', 'kind'],
    },
    () =>
      byTransport.flatMap(([transport, { answered }]) =>
        Object.entries(answered).map(([kind, count]): MetricSample => [{ transport, kind }, count]),
      ),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_errors_total',
      help: 'Errors in the answers of operations, by transport and extensions.code.',
      labels: ['transport', 'code'],
    },
    () =>
      byTransport.flatMap(([transport, { errors }]) =>
        Array.from(errors, ([code, count]): MetricSample => [{ transport, code }, count]),
      ),
  );
  registerHistogram(
    registry,
    {
      name: 'porchlight_operation_seconds',
      help: 'Time from reading a query or mutation until its answer is written, by transport.',
    },
    SECONDS_PER_MS,
    () => byTransport.map(([transport, { durations }]) => [{ transport }, durations]),
  );
  registerCounter(
    registry,
    { name: 'porchlight_internal_errors_total', help: 'Internal errors of the server; each one is logged.' },
    () => singleSample(counters.internalErrors),
  );
  registerCounter(
    registry,
    { name: 'porchlight_http_responses_total', help: 'HTTP responses, by class of status.', labels: ['status'] },
    () => labelledSamples('status', counters.httpResponses),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_rejections_total',
      help: 'Requests, messages, operations, sockets and connections rejected or closed because of a limit, by kind.',
      labels: ['kind'],
    },
    () => Object.entries(counters.rejections).map(([kind, count]): MetricSample => [{ kind }, Number(count)]),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_jwks_failures_total',
      help: 'Failed attempts to fetch the JWKS for the check of a user’s token.',
    },
    () => singleSample(counters.jwksFailures),
  );
};
