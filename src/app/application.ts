/** The use cases, put together over one store. */
import type { Visibility } from '../core/visibility.ts';
import { Endings } from './presence/session-end-notifier.ts';
import { Feed } from './presence/event-feed.ts';
import { Links } from './presence/socket-registry.ts';
import type { Credentials, PresenceStore } from './ports/presence-store.ts';
import { Tracker } from './presence/tracker.ts';
import { Watchers } from './presence/status-watchers.ts';
import { Webhooks, type WebhookParts } from './webhooks/webhook-service.ts';

export interface Application {
  readonly store: PresenceStore;
  readonly tracker: Tracker;
  readonly watchers: Watchers;
  readonly feed: Feed;
  readonly endings: Endings;
  readonly links: Links;
  readonly webhooks: Webhooks;
  readonly visibility: Visibility;
}

export const createPorchlight = (
  store: PresenceStore,
  credentials: Credentials,
  visibility: Visibility,
  webhooks: WebhookParts,
): Application => ({
  store,
  tracker: new Tracker(store, credentials),
  // In the order in which they hear of a commit: a client is told why before its socket is closed.
  watchers: new Watchers(store),
  feed: new Feed(store),
  endings: new Endings(store),
  links: new Links(store),
  webhooks: new Webhooks(store, webhooks),
  visibility,
});
