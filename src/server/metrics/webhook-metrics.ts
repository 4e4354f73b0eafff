/** What is measured of webhooks. Neither their ids nor their URLs are labels: backends choose how many there are. */
import type { Registry } from 'prom-client';
import type { WebhookStats } from '../../app/ports/webhook-stats.ts';
import type { Millis } from '../../core/ids.ts';
import { registerCounter, registerGauge, type MetricSample } from './exposition.ts';

/** @param now by which `oldestWaitingSince` is told. */
export const registerWebhookMetrics = (registry: Registry, figures: () => WebhookStats, now: () => Millis): void => {
  registerGauge(registry, { name: 'porchlight_webhooks', help: 'Webhooks, by state.', labels: ['state'] }, () =>
    Object.entries(figures().webhooksByState).map(([state, count]): MetricSample => [{ state }, count]),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_webhook_attempts_total',
      help: 'Attempts to deliver, by what came of them: TAKEN, REFUSED (an answer other than 2xx), UNANSWERED.',
      labels: ['outcome'],
    },
    () => Object.entries(figures().attemptsByResult).map(([outcome, count]): MetricSample => [{ outcome }, count]),
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_webhook_events_delivered_total',
      help: 'Events that receivers have taken, each as often as one has.',
    },
    () => [[{}, figures().deliveredEvents]],
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_webhook_deliveries_dead_total',
      help: 'Deliveries given up, and times that the retention had removed what a webhook was yet to be told.',
    },
    () => [[{}, figures().deadDeliveries]],
  );
  registerCounter(
    registry,
    {
      name: 'porchlight_webhooks_gone_total',
      help: 'Times that a receiver has answered 410, with which its webhook is GONE.',
    },
    () => [[{}, figures().goneWebhooks]],
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_webhook_waiting_seconds',
      help: 'Age of the oldest event that waits for the receiver of an active webhook; 0: none does.',
    },
    () => {
      const { oldestPendingEventAt: oldestWaitingSince } = figures();
      return [[{}, oldestWaitingSince === null ? 0 : Math.max(0, now() - oldestWaitingSince) / 1_000]];
    },
  );
};
