/**
 * The webhook format TENCENT: each change of state is one POST as Tencent IM's `State.StateChange` callback.
 * What has no word there goes with the request before it, or with the first.
 */
import { createHash } from 'node:crypto';
import { platformName, statusWebhookPlatformName, type PlatformNames } from './platforms.ts';
import { stateChangeOf, type DisconnectReason, type StateChange } from './state-change.ts';
import type { LoggedEvent } from '../app/ports/presence-store.ts';
import type { Format, Outgoing } from '../app/ports/webhook-format.ts';
import type { Millis } from '../core/ids.ts';
import type { WebhookRecord } from '../core/webhooks/webhook.ts';

export interface TencentFormatOptions {
  /** The SDKAppID that receivers must find in the URL. */
  readonly appId: number;
  /** The account that a test speaks of. */
  readonly admin: string;
  readonly platformNames: PlatformNames;
  /** See `stateChangeOf`. */
  readonly webTimeout: DisconnectReason;
}

/** A callback before it is signed. */
interface Callback {
  readonly clientIp: string;
  readonly optPlatform: string;
  readonly body: string;
}

const COMMAND = 'State.StateChange';

export const tencentFormat = (options: TencentFormatOptions): Format => ({
  *requests(webhook, { isTest, events }, { now, wallClock }): Generator<Outgoing> {
    const send = (callback: Callback, eventsDone: number): Outgoing => ({
      url: callbackUrl(webhook, options.appId, callback, wallClock()),
      headers: { 'content-type': 'application/json' },
      body: callback.body,
      eventsDone,
    });
    if (isTest) {
      yield send(testCallback(options.admin, now()), events.length);
      return;
    }
    const word = (event: LoggedEvent): StateChange | null =>
      isAskedFor(webhook, event) ? stateChangeOf(event, options.webTimeout) : null;
    let next = nextWord(events, 0, word);
    while (next !== null) {
      const { at, change } = next;
      next = nextWord(events, at + 1, word);
      yield send(callbackOf(events, at, change, options), next?.at ?? events.length);
    }
  },
});

/** Custom texts are told to those alone who name them: a receiver that knows no such action takes it for a logout. */
const isAskedFor = ({ reasons }: WebhookRecord, { reason }: LoggedEvent): boolean =>
  reason !== 'CUSTOM_STATUS' || reasons?.includes('CUSTOM_STATUS') === true;

/** The first event from `from` on for which there is a word. */
const nextWord = (
  events: readonly LoggedEvent[],
  from: number,
  word: (event: LoggedEvent) => StateChange | null,
): { readonly at: number; readonly change: StateChange } | null => {
  for (let at = from; at < events.length; at++) {
    const change = word(events[at]!);
    if (change !== null) return { at, change };
  }
  return null;
};

const callbackOf = (
  events: readonly LoggedEvent[],
  at: number,
  { action, reason }: StateChange,
  { platformNames }: TencentFormatOptions,
): Callback => {
  const event = events[at]!;
  const kicked = event.reason === 'LOGIN' ? kickedBy(events, at) : [];
  return {
    clientIp: event.ipAddress ?? '',
    optPlatform: statusWebhookPlatformName(event.platform, platformNames),
    body: JSON.stringify({
      CallbackCommand: COMMAND,
      EventTime: event.occurredAt,
      Info: {
        Action: action,
        To_Account: event.userId,
        Reason: reason,
        // Cleared is empty there.
        ...(action === 'CustomStatusChange' && { CustomStatus: event.customStatus ?? '' }),
      },
      ...(kicked.length > 0 && {
        KickedDevice: kicked.map(({ platform }) => ({ Platform: platformName(platform, 'WEBHOOK', platformNames) })),
      }),
    }),
  };
};

/** The sessions that the login at `at` kicked: they follow it in its change, which no batch splits. */
const kickedBy = (events: readonly LoggedEvent[], at: number): readonly LoggedEvent[] => {
  const { changeId } = events[at]!;
  const kicked: LoggedEvent[] = [];
  for (let after = at + 1; events[after]?.changeId === changeId; after++) {
    if (events[after]!.reason === 'KICKED') kicked.push(events[after]!);
  }
  return kicked;
};

/**
 * The account that calls the server API has logged out, which it never was in: nobody's state is changed by it, and it
 * has every field that a receiver may look for.
 */
const testCallback = (admin: string, now: Millis): Callback => ({
  clientIp: '127.0.0.1',
  optPlatform: 'RESTAPI',
  body: JSON.stringify({
    CallbackCommand: COMMAND,
    EventTime: now,
    Info: { Action: 'Logout', To_Account: admin, Reason: 'Unregister' },
  }),
});

/** The webhook's own URL with the parameters after what its query has already. */
const callbackUrl = (
  { url: base, secret }: WebhookRecord,
  appId: number,
  { clientIp, optPlatform }: Callback,
  signedAt: number,
): URL => {
  const parameters: readonly (readonly [name: string, value: string])[] = [
    ['SdkAppid', String(appId)],
    ['CallbackCommand', COMMAND],
    ['contenttype', 'json'],
    ['ClientIP', clientIp],
    ['OptPlatform', optPlatform],
    ...(secret === null ? [] : signature(secret, Math.floor(signedAt / 1_000))),
  ];
  const added = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  const url = new URL(base);
  url.search = url.search === '' ? added : `${url.search}&${added}`;
  return url;
};

const signature = (token: string, seconds: number) =>
  [
    ['Sign', createHash('sha256').update(`${token}${seconds}`).digest('hex')],
    ['RequestTime', String(seconds)],
  ] as const;
