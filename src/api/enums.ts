/** The enums that several concepts use. */
import { schemaBuilder } from './builder.ts';
import type { AppState, EventReason, Platform, Status } from '../core/enums.ts';

type ValueDescriptions<Value extends string> = Record<Value, { readonly description: string }>;

export const StatusEnum = schemaBuilder.enumType('Status', {
  description:
    'The status of a session or a user. A user has the highest status of their sessions: ONLINE, then PUSH_ONLINE, then OFFLINE.',
  values: {
    ONLINE: { description: 'The app is running and connected.' },
    PUSH_ONLINE: {
      description: 'The app is not connected, but the session has not ended. An offline push still reaches the device.',
    },
    OFFLINE: { description: 'No session: the user never logged in, logged out, or the sessions ended otherwise.' },
  } satisfies ValueDescriptions<Status>,
});

export const PlatformEnum = schemaBuilder.enumType('Platform', {
  description: 'The platform of a device. The policy sets timeouts, push and multi-device rules per platform.',
  values: {
    ANDROID: { description: 'An Android phone or tablet.' },
    IPHONE: { description: 'An iPhone.' },
    IPAD: { description: 'An iPad.' },
    WINDOWS: { description: 'A Windows computer.' },
    MAC: { description: 'A Mac.' },
    LINUX: { description: 'A Linux computer.' },
    WEB: { description: 'A web page in a browser.' },
    MINI_PROGRAM: { description: 'A mini program inside another app.' },
  } satisfies ValueDescriptions<Platform>,
});

export const AppStateEnum = schemaBuilder.enumType('AppState', {
  description: 'Whether the app is visible to the user, as the app reported it in a heartbeat.',
  values: {
    FOREGROUND: { description: 'The app is visible. A session starts in this state.' },
    BACKGROUND: {
      description: 'The app is not visible. On platforms with a background timeout, the session times out after it.',
    },
  } satisfies ValueDescriptions<AppState>,
});

export const EventReasonEnum = schemaBuilder.enumType('EventReason', {
  description: 'The reason of an event.',
  values: {
    LOGIN: { description: 'The session started.' },
    RECONNECT: { description: 'There was activity of a PUSH_ONLINE session. It is ONLINE again.' },
    LOGOUT: { description: 'The session logged out.' },
    DISCONNECT: {
      description: 'The last WebSocket of the session closed, and the grace period of its platform is over.',
    },
    HEARTBEAT_TIMEOUT: { description: 'There was no activity for the heartbeat timeout of the platform.' },
    BACKGROUND_TIMEOUT: { description: 'The app was in the background for the background timeout of the platform.' },
    PUSH_EXPIRED: { description: 'The session was PUSH_ONLINE without activity for the push expiry of the policy.' },
    KICKED: { description: 'Another device logged in, and the policy does not allow both at the same time.' },
    REPLACED: { description: 'The same device logged in again. Its new session replaces this one.' },
    REVOKED: { description: 'A backend ended the session.' },
    CUSTOM_STATUS: { description: 'The custom status text of the user changed.' },
  } satisfies ValueDescriptions<EventReason>,
});
