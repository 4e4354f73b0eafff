/** An event as it is told outside. */
import { formatIsoTimestamp } from './iso-timestamp.ts';
import type { LoggedEvent } from '../ports/presence-store.ts';

/** For JSON: the fields, names and forms of PresenceEvent in the GraphQL schema. */
export const eventToJson = (event: LoggedEvent) => ({
  cursor: event.cursor,
  changeId: event.changeId,
  userId: event.userId,
  sessionId: event.sessionId,
  platform: event.platform,
  deviceId: event.deviceId,
  reason: event.reason,
  sessionStatus: event.sessionStatus,
  previousStatus: event.previousStatus,
  status: event.status,
  version: event.version,
  kickedBy: event.kickedBy,
  customStatus: event.customStatus,
  ipAddress: event.ipAddress,
  occurredAt: formatIsoTimestamp(event.occurredAt),
});
