/** Maps events to Tencent IM's state changes. docs/tencent.md has the same table and the reasons for it. */
import type { PresenceEvent } from '../core/records.ts';
import type { EventReason, Platform } from '../core/enums.ts';

/** `Info.Action` and `Info.Reason` of a `State.StateChange` callback. */
export type TencentStateChange =
  | { readonly action: 'Login'; readonly reason: 'Register' }
  | { readonly action: 'Logout'; readonly reason: 'Unregister' }
  | { readonly action: 'Disconnect'; readonly reason: TencentDisconnectReason }
  | { readonly action: 'CustomStatusChange'; readonly reason: 'SetCustomStatus' };

export type TencentDisconnectReason = 'LinkClose' | 'TimeOut';

const LOGIN: TencentStateChange = { action: 'Login', reason: 'Register' };
const LOGOUT: TencentStateChange = { action: 'Logout', reason: 'Unregister' };
const LINK_CLOSE: TencentStateChange = { action: 'Disconnect', reason: 'LinkClose' };
const TIME_OUT: TencentStateChange = { action: 'Disconnect', reason: 'TimeOut' };

/** Null: no callback is sent. */
export const STATE_CHANGE_BY_REASON: Readonly<Record<EventReason, TencentStateChange | null>> = {
  LOGIN,
  // Tencent reports a reconnect after a network failure as Register, like the first login.
  RECONNECT: LOGIN,
  LOGOUT,
  // Tencent's kick API also makes a callback, but its values are not documented. Kicks by older SDKs were Logouts.
  REVOKED: LOGOUT,
  DISCONNECT: LINK_CLOSE,
  HEARTBEAT_TIMEOUT: TIME_OUT,
  // An app that is killed in the background, or WeChat after 30 s in the background, has closed its connection.
  BACKGROUND_TIMEOUT: LINK_CLOSE,
  // The device has no connection to lose: its Disconnect was reported when it became PUSH_ONLINE.
  PUSH_EXPIRED: null,
  // Reported in `KickedDevice` of the Login that kicked it.
  KICKED: null,
  // Reported by the Login of the same device.
  REPLACED: null,
  CUSTOM_STATUS: { action: 'CustomStatusChange', reason: 'SetCustomStatus' },
};

const BROWSER_PLATFORMS: readonly Platform[] = ['WEB', 'MINI_PROGRAM'];

/** @param webTimeout the reason for a heartbeat timeout in a browser: Tencent's documents name both. */
export const toTencentStateChange = (
  { reason, platform }: Pick<PresenceEvent, 'reason' | 'platform'>,
  webTimeout: TencentDisconnectReason,
): TencentStateChange | null =>
  reason === 'HEARTBEAT_TIMEOUT' && BROWSER_PLATFORMS.includes(platform)
    ? { action: 'Disconnect', reason: webTimeout }
    : STATE_CHANGE_BY_REASON[reason];
