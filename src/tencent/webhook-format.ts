/**
 * The webhook format TENCENT: each state change is one POST request in the form of Tencent IM's `State.StateChange`
 * callback. Events without a callback count as delivered with the request before them, or with the first one.
 */
import { createHash } from 'node:crypto';
import { tencentPlatformName, statusCallbackPlatformName, type PlatformNameSetting } from './platforms.ts';
import { toTencentStateChange, type TencentDisconnectReason, type TencentStateChange } from './state-change.ts';
import type { LoggedEvent } from '../app/ports/presence-store.ts';
import type { WebhookFormatter, WebhookRequest } from '../app/ports/webhook-format.ts';
import type { Millis } from '../core/ids.ts';
import type { WebhookRecord } from '../core/webhooks/webhook.ts';

export interface TencentFormatOptions {
  /** The SDKAppID in the URL, which receivers check. */
  readonly appId: number;
  /** The account that test callbacks name. */
  readonly admin: string;
  readonly platformNames: PlatformNameSetting;
  /** See `toTencentStateChange`. */
  readonly webTimeout: TencentDisconnectReason;
}

/** The content of a callback, without its signature. */
interface TencentCallback {
  readonly clientIp: string;
  readonly optPlatform: string;
  readonly body: string;
}

interface IndexedStateChange {
  /** Of the event in its delivery. */
  readonly index: number;
  readonly change: TencentStateChange;
}

const CALLBACK_COMMAND = 'State.StateChange';

export const createTencentFormat = (options: TencentFormatOptions): WebhookFormatter => ({
  *createRequests(webhook, { isTest, events }, { storeNow, wallClockNow }): Generator<WebhookRequest> {
    const createRequest = (callback: TencentCallback, deliveredEventCount: number): WebhookRequest => ({
      url: createCallbackUrl(webhook, options.appId, callback, wallClockNow()),
      headers: { 'content-type': 'application/json' },
      body: callback.body,
      deliveredEventCount,
    });
    if (isTest) {
      yield createRequest(createTestCallback(options.admin, storeNow()), events.length);
      return;
    }
    let next = findStateChange(webhook, events, 0, options);
    while (next !== null) {
      const { index, change } = next;
      next = findStateChange(webhook, events, index + 1, options);
      yield createRequest(createCallback(events, index, change, options), next?.index ?? events.length);
    }
  },
});

/** @returns the first state change of `events` from the index `from` on; null: there is none. */
const findStateChange = (
  webhook: WebhookRecord,
  events: readonly LoggedEvent[],
  from: number,
  { webTimeout }: TencentFormatOptions,
): IndexedStateChange | null => {
  for (let index = from; index < events.length; index++) {
    const event = events[index]!;
    const change = isEventEnabled(webhook, event) ? toTencentStateChange(event, webTimeout) : null;
    if (change !== null) return { index, change };
  }
  return null;
};

/** CUSTOM_STATUS must be listed explicitly: a receiver that does not know this action treats it as a logout. */
const isEventEnabled = ({ reasons }: WebhookRecord, { reason }: LoggedEvent): boolean =>
  reason !== 'CUSTOM_STATUS' || reasons?.includes('CUSTOM_STATUS') === true;

const createCallback = (
  events: readonly LoggedEvent[],
  index: number,
  { action, reason }: TencentStateChange,
  { platformNames }: TencentFormatOptions,
): TencentCallback => {
  const event = events[index]!;
  const kicked = event.reason === 'LOGIN' ? listKickedByLogin(events, index) : [];
  return {
    clientIp: event.ipAddress ?? '',
    optPlatform: statusCallbackPlatformName(event.platform, platformNames),
    body: JSON.stringify({
      CallbackCommand: CALLBACK_COMMAND,
      EventTime: event.occurredAt,
      Info: {
        Action: action,
        To_Account: event.userId,
        Reason: reason,
        // A cleared custom status is sent as an empty string.
        ...(action === 'CustomStatusChange' && { CustomStatus: event.customStatus ?? '' }),
      },
      ...(kicked.length > 0 && {
        KickedDevice: kicked.map(({ platform }) => ({
          Platform: tencentPlatformName(platform, 'WEBHOOK', platformNames),
        })),
      }),
    }),
  };
};

/** The KICKED events of the login at `index`. They follow it in the same change, which is never split into batches. */
const listKickedByLogin = (events: readonly LoggedEvent[], index: number): readonly LoggedEvent[] => {
  const { changeId } = events[index]!;
  const kicked: LoggedEvent[] = [];
  for (let at = index + 1; events[at]?.changeId === changeId; at++) {
    if (events[at]!.reason === 'KICKED') kicked.push(events[at]!);
  }
  return kicked;
};

/**
 * A logout of the admin account, which never logs in: it changes no user's state, and has every field that a receiver may
 * expect.
 */
const createTestCallback = (admin: string, now: Millis): TencentCallback => ({
  clientIp: '127.0.0.1',
  optPlatform: 'RESTAPI',
  body: JSON.stringify({
    CallbackCommand: CALLBACK_COMMAND,
    EventTime: now,
    Info: { Action: 'Logout', To_Account: admin, Reason: 'Unregister' },
  }),
});

/** Appends the parameters of the callback to the query of the webhook's URL. @param signedAt wall clock, in ms. */
const createCallbackUrl = (
  { url: webhookUrl, secret }: WebhookRecord,
  appId: number,
  { clientIp, optPlatform }: TencentCallback,
  signedAt: number,
): URL => {
  const parameters: readonly (readonly [name: string, value: string])[] = [
    ['SdkAppid', String(appId)],
    ['CallbackCommand', CALLBACK_COMMAND],
    ['contenttype', 'json'],
    ['ClientIP', clientIp],
    ['OptPlatform', optPlatform],
    ...(secret === null ? [] : createSignatureParameters(secret, Math.floor(signedAt / 1_000))),
  ];
  const added = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  const url = new URL(webhookUrl);
  url.search = url.search === '' ? added : `${url.search}&${added}`;
  return url;
};

const createSignatureParameters = (token: string, timestampSeconds: number) =>
  [
    ['Sign', createHash('sha256').update(`${token}${timestampSeconds}`).digest('hex')],
    ['RequestTime', String(timestampSeconds)],
  ] as const;
