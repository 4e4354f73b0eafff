/** The words that several concepts speak. */
import { builder } from './builder.ts';
import type { AppState, EventReason, Platform, Status } from '../core/enums.ts';

type Described<Value extends string> = Record<Value, { readonly description: string }>;

export const StatusEnum = builder.enumType('Status', {
  description:
    'How a session, or a user, can be reached. A user’s status is the highest of her sessions: ONLINE, then PUSH_ONLINE, then OFFLINE.',
  values: {
    ONLINE: { description: 'The app is running and its link is up: it can be reached at once.' },
    PUSH_ONLINE: {
      description: 'The app is not connected, but nobody logged out: an offline push still reaches the device.',
    },
    OFFLINE: { description: 'Logged out, never logged in, or given up on: nothing reaches the device.' },
  } satisfies Described<Status>,
});

export const PlatformEnum = builder.enumType('Platform', {
  description: 'What a device runs. Timeouts, PUSH_ONLINE and who may be logged in beside whom depend on it.',
  values: {
    ANDROID: { description: 'An Android phone or tablet.' },
    IPHONE: { description: 'An iPhone.' },
    IPAD: { description: 'An iPad.' },
    WINDOWS: { description: 'A Windows computer.' },
    MAC: { description: 'A Mac.' },
    LINUX: { description: 'A Linux computer.' },
    WEB: { description: 'A page in a browser.' },
    MINI_PROGRAM: { description: 'A program inside another app.' },
  } satisfies Described<Platform>,
});

export const AppStateEnum = builder.enumType('AppState', {
  description: 'Whether the user has the app before her, as the app last told in a heartbeat.',
  values: {
    FOREGROUND: { description: 'In front. A session begins like this.' },
    BACKGROUND: { description: 'Behind. Platforms with a background limit time out when it is over.' },
  } satisfies Described<AppState>,
});

export const EventReasonEnum = builder.enumType('EventReason', {
  description: 'Why something happened to a session.',
  values: {
    LOGIN: { description: 'A session began.' },
    RECONNECT: { description: 'A PUSH_ONLINE session gave a sign of life and is ONLINE again.' },
    LOGOUT: { description: 'The session logged out.' },
    DISCONNECT: { description: 'Its last socket closed, and the grace of its platform is over.' },
    HEARTBEAT_TIMEOUT: { description: 'It was silent for the timeout of its platform.' },
    BACKGROUND_TIMEOUT: { description: 'It was in background for the limit of its platform.' },
    PUSH_EXPIRED: { description: 'It was PUSH_ONLINE for too long without a sign of life.' },
    KICKED: { description: 'Another device logged in that may not be logged in beside it.' },
    REPLACED: { description: 'The same device logged in again. Nobody was kicked: the new session took its place.' },
    REVOKED: { description: 'A backend ended it.' },
    CUSTOM_STATUS: { description: 'The user’s custom status text changed.' },
  } satisfies Described<EventReason>,
});
