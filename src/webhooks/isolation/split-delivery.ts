/** Splits a delivery by user, without sending anything. */
import type { Delivery } from '../../app/ports/webhook-store.ts';
import type { Cursor, Millis, UserId } from '../../core/ids.ts';
import { NO_ATTEMPTS_YET } from '../../core/webhooks/webhook.ts';
import { deriveDeliveryId } from '../delivery/new-delivery.ts';

/** The users of a delivery, in the order of their first events. */
export const listUserIds = ({ events }: Delivery): readonly UserId[] => [
  ...new Set(events.map(({ userId }) => userId)),
];

/**
 * A delivery of the events of one user. It has an id of its own, because its content differs. If the delivery has no
 * events of other users, it is returned itself, with its id and its attempts.
 */
export const createPart = (delivery: Delivery, userId: UserId, now: Millis): Delivery => {
  const events = delivery.events.filter((event) => event.userId === userId);
  if (events.length === delivery.events.length) return delivery;
  const cursors = events.map(({ cursor }) => cursor);
  return {
    ...delivery,
    ...NO_ATTEMPTS_YET,
    id: deriveDeliveryId(delivery.webhookId, cursors),
    status: 'RETRYING',
    events,
    eventCount: events.length,
    createdAt: now,
    nextAttemptAt: now,
  };
};

/** The rest of the delivery; null: it has no other events. */
export const removeUser = (delivery: Delivery, userId: UserId): Delivery | null =>
  withEvents(
    delivery,
    delivery.events.filter((event) => event.userId !== userId),
  );

/** The rest of the delivery; null: it has no other events. */
export const removeEvents = (delivery: Delivery, cursors: ReadonlySet<Cursor>): Delivery | null =>
  withEvents(
    delivery,
    delivery.events.filter(({ cursor }) => !cursors.has(cursor)),
  );

const withEvents = (delivery: Delivery, events: Delivery['events']): Delivery | null =>
  events.length === 0 ? null : { ...delivery, events };
