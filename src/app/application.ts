/** Creates the use cases over one store. */
import type { Visibility } from '../core/visibility.ts';
import { NO_OPERATOR_LOG, type OperatorLog } from './ports/operator-log.ts';
import type { CredentialFactory, PresenceStore } from './ports/presence-store.ts';
import { EventFeed } from './presence/event-feed.ts';
import { SessionEndNotifier } from './presence/session-end-notifier.ts';
import { SocketRegistry } from './presence/socket-registry.ts';
import { StatusWatchers } from './presence/status-watchers.ts';
import { PresenceTracker } from './presence/tracker.ts';
import { WebhookService, type WebhookServiceOptions } from './webhooks/webhook-service.ts';

export interface Application {
  readonly store: PresenceStore;
  readonly tracker: PresenceTracker;
  readonly statusWatchers: StatusWatchers;
  readonly eventFeed: EventFeed;
  readonly sessionEndNotifier: SessionEndNotifier;
  readonly socketRegistry: SocketRegistry;
  readonly webhookService: WebhookService;
  readonly visibility: Visibility;
  /** Receives the changes that backends make. */
  readonly operatorLog: OperatorLog;
}

export const createApplication = (
  store: PresenceStore,
  credentials: CredentialFactory,
  visibility: Visibility,
  webhooks: WebhookServiceOptions,
  operatorLog: OperatorLog = NO_OPERATOR_LOG,
): Application => ({
  store,
  tracker: new PresenceTracker(store, credentials),
  // They receive each commit in the order of their creation: a client is notified of the reason before its socket closes.
  statusWatchers: new StatusWatchers(store),
  eventFeed: new EventFeed(store),
  sessionEndNotifier: new SessionEndNotifier(store),
  socketRegistry: new SocketRegistry(store),
  webhookService: new WebhookService(store, webhooks),
  visibility,
  operatorLog,
});
