/** The JSON form of an event outside the GraphQL API. */
import type { LoggedEvent } from '../ports/presence-store.ts';
import { formatIsoTimestamp } from './iso-timestamp.ts';

/** The fields, names and formats are those of PresenceEvent in the GraphQL schema. */
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
