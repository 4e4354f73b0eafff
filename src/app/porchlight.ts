/** The use cases, put together over one store. */
import type { Visibility } from '../core/visibility.ts';
import { Endings } from './endings.ts';
import { Feed } from './feed.ts';
import { Links } from './links.ts';
import type { Credentials, PresenceStore } from './ports.ts';
import { Tracker } from './tracker.ts';
import { Watchers } from './watchers.ts';
import { Webhooks, type WebhookParts } from './webhooks.ts';

export interface Porchlight {
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
): Porchlight => ({
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
