/** What a receiver of Tencent's callbacks sees of a delivery. */
import type { LoggedEvent } from '../../src/app/ports.ts';
import type { Outgoing } from '../../src/app/webhook-format.ts';
import type { Delivery } from '../../src/app/webhook-ports.ts';
import type { Cursor, DeliveryId, Millis, WebhookId } from '../../src/core/ids.ts';
import type { WebhookRecord } from '../../src/core/webhook.ts';
import { tencentFormat, type TencentFormatOptions } from '../../src/tencent/format.ts';

export const NOW = 1_669_872_112_999 as Millis;

export const OPTIONS: TencentFormatOptions = {
  appId: 1_400_000_001,
  admin: 'administrator',
  platformNames: 'DOCUMENTED',
  webTimeout: 'LinkClose',
};

export const webhookOf = (changes: Partial<WebhookRecord> = {}): WebhookRecord => ({
  id: 'wh_1' as WebhookId,
  url: 'https://www.example.com',
  format: 'TENCENT',
  secret: null,
  previousSecret: null,
  reasons: null,
  userStatusOnly: false,
  state: 'ACTIVE',
  createdAt: NOW,
  changedAt: NOW,
  start: '' as Cursor,
  ...changes,
});

export const deliveryOf = (events: readonly LoggedEvent[], isTest = false): Delivery => ({
  id: 'msg_1' as DeliveryId,
  webhookId: 'wh_1' as WebhookId,
  shard: 0,
  isTest,
  status: 'RETRYING',
  events,
  eventCount: events.length,
  createdAt: NOW,
  attempts: 0,
  lastAttemptAt: null,
  lastStatus: null,
  lastError: null,
  nextAttemptAt: NOW,
  giveUpAt: NOW,
});

interface Sending {
  readonly webhook?: WebhookRecord;
  readonly options?: Partial<TencentFormatOptions>;
  readonly isTest?: boolean;
  readonly now?: () => Millis;
}

export const requestsFor = (
  events: readonly LoggedEvent[],
  { webhook = webhookOf(), options, isTest = false, now = () => NOW }: Sending = {},
): readonly Outgoing[] => [
  ...tencentFormat({ ...OPTIONS, ...options }).requests(webhook, deliveryOf(events, isTest), now),
];

export interface CallbackBody {
  readonly CallbackCommand: string;
  readonly EventTime: number;
  readonly Info: {
    readonly Action: string;
    readonly To_Account: string;
    readonly Reason: string;
    readonly CustomStatus?: string;
  };
  readonly KickedDevice?: readonly { readonly Platform: string }[];
}

export const bodyOf = ({ body }: Outgoing) => JSON.parse(body) as CallbackBody;
