/** Which of Tencent IM's state changes an event is. docs/tencent.md has the same table, with the reasons for it. */
import type { PresenceEvent } from '../core/records.ts';
import type { EventReason, Platform } from '../core/enums.ts';

/** `Info.Action` and `Info.Reason` of a `State.StateChange` callback. */
export type StateChange =
  | { readonly action: 'Login'; readonly reason: 'Register' }
  | { readonly action: 'Logout'; readonly reason: 'Unregister' }
  | { readonly action: 'Disconnect'; readonly reason: DisconnectReason }
  | { readonly action: 'CustomStatusChange'; readonly reason: 'SetCustomStatus' };

export type DisconnectReason = 'LinkClose' | 'TimeOut';

const LOGIN: StateChange = { action: 'Login', reason: 'Register' };
const LOGOUT: StateChange = { action: 'Logout', reason: 'Unregister' };
const LINK_CLOSE: StateChange = { action: 'Disconnect', reason: 'LinkClose' };
const TIME_OUT: StateChange = { action: 'Disconnect', reason: 'TimeOut' };

/** Null: nothing is sent. */
export const STATE_CHANGES: Readonly<Record<EventReason, StateChange | null>> = {
  LOGIN,
  // A connection made again after the network was gone is a Register like the first.
  RECONNECT: LOGIN,
  LOGOUT,
  // Their API that ends a user's logins makes a callback, whose words are not told; older SDKs' kicks were Logouts.
  REVOKED: LOGOUT,
  DISCONNECT: LINK_CLOSE,
  HEARTBEAT_TIMEOUT: TIME_OUT,
  // An app that was sent to the background and killed there, or WeChat half a minute in background, has closed its link.
  BACKGROUND_TIMEOUT: LINK_CLOSE,
  // A device without a connection has none to lose: it was a Disconnect seven days ago.
  PUSH_EXPIRED: null,
  // Is told by the Login that kicked.
  KICKED: null,
  // The same device: its Login says it all.
  REPLACED: null,
  CUSTOM_STATUS: { action: 'CustomStatusChange', reason: 'SetCustomStatus' },
};

const IN_A_BROWSER: readonly Platform[] = ['WEB', 'MINI_PROGRAM'];

/** @param webTimeout what a heartbeat timeout on the web is: their documents say both. */
export const stateChangeOf = (
  { reason, platform }: Pick<PresenceEvent, 'reason' | 'platform'>,
  webTimeout: DisconnectReason,
): StateChange | null =>
  reason === 'HEARTBEAT_TIMEOUT' && IN_A_BROWSER.includes(platform)
    ? { action: 'Disconnect', reason: webTimeout }
    : STATE_CHANGES[reason];
