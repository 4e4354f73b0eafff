/** Metrics of webhooks. Neither ids nor URLs are labels, because backends choose how many of them exist. */
import type { Registry } from 'prom-client';
import type { WebhookStats } from '../../app/ports/webhook-stats.ts';
import type { Millis } from '../../core/ids.ts';
import { registerCounter, registerGauge, type MetricSample } from './exposition.ts';

/** @param now the clock that `oldestPendingEventAt` refers to. */
export const registerWebhookMetrics = (registry: Registry, readStats: () => WebhookStats, now: () => Millis): void => {
  registerGauge(registry, { name: 'porchlight_webhooks', help: 'Webhooks, by state.', labels: ['state'] }, () =>
    Object.entries(readStats().webhooksByState).map(([state, count]): MetricSample => [{ state }, count]),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_webhook_attempts_total',
      help: 'Delivery attempts, by outcome: TAKEN, REFUSED (a status other than 2xx) or UNANSWERED.',
      labels: ['outcome'],
    },
    () => Object.entries(readStats().attemptsByResult).map(([outcome, count]): MetricSample => [{ outcome }, count]),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_webhook_events_delivered_total',
      help: 'Events that receivers accepted, counted once for each receiver.',
    },
    () => [[{}, readStats().deliveredEvents]],
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_webhook_deliveries_dead_total',
      help: 'Deliveries given up, and times that retention deleted events before a webhook received them.',
    },
    () => [[{}, readStats().deadDeliveries]],
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_webhooks_gone_total',
      help: 'Times that a receiver answered 410, which sets its webhook to GONE.',
    },
    () => [[{}, readStats().goneWebhooks]],
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_webhook_isolated_users',
      help: 'Users whose events a receiver refuses while it accepts others, counted once for each webhook.',
    },
    () => [[{}, readStats().isolatedUsers]],
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_webhook_waiting_seconds',
      help: 'Age of the oldest event that waits for the receiver of an active webhook; 0: none waits.',
    },
    () => {
      const { oldestPendingEventAt } = readStats();
      return [[{}, oldestPendingEventAt === null ? 0 : Math.max(0, now() - oldestPendingEventAt) / 1_000]];
    },
  );
};
