/** The use cases, put together over one store. */
import type { Visibility } from '../core/visibility.ts';
import { SessionEndNotifier } from './presence/session-end-notifier.ts';
import { EventFeed } from './presence/event-feed.ts';
import { SocketRegistry } from './presence/socket-registry.ts';
import { NO_OPERATOR_LOG, type OperatorLog } from './ports/operator-log.ts';
import type { CredentialFactory, PresenceStore } from './ports/presence-store.ts';
import { PresenceTracker } from './presence/tracker.ts';
import { StatusWatchers } from './presence/status-watchers.ts';
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
  // In the order in which they hear of a commit: a client is told why before its socket is closed.
  statusWatchers: new StatusWatchers(store),
  eventFeed: new EventFeed(store),
  sessionEndNotifier: new SessionEndNotifier(store),
  socketRegistry: new SocketRegistry(store),
  webhookService: new WebhookService(store, webhooks),
  visibility,
  operatorLog,
});
