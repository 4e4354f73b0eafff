/** Creates the callback requests of a delivery and parses their bodies. */
import type { LoggedEvent } from '../../../src/app/ports/presence-store.ts';
import type { WebhookRequest } from '../../../src/app/ports/webhook-format.ts';
import { toMillis, type Millis } from '../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../src/core/webhooks/webhook.ts';
import { createTencentFormat, type TencentFormatOptions } from '../../../src/tencent/webhook-format.ts';
import { createTestDelivery, createTestWebhook } from '../webhooks/support/webhooks.ts';

/** The last millisecond of the second in Tencent’s example of a signature. */
export const NOW = toMillis(1_669_872_112_999);

const OPTIONS: TencentFormatOptions = {
  appId: 1_400_000_001,
  admin: 'administrator',
  platformNames: 'DOCUMENTED',
  webTimeout: 'LinkClose',
};

interface Sending {
  readonly webhook?: Partial<WebhookRecord>;
  readonly options?: Partial<TencentFormatOptions>;
  readonly isTest?: boolean;
  /** The clock of the store is `NOW`. */
  readonly wallClock?: () => Millis;
}

export const createCallbackRequests = (
  events: readonly LoggedEvent[],
  { webhook, options, isTest = false, wallClock = () => NOW }: Sending = {},
): readonly WebhookRequest[] => [
  ...createTencentFormat({ ...OPTIONS, ...options }).createRequests(
    createTestWebhook({ url: 'https://www.example.com', format: 'TENCENT', secret: null, ...webhook }),
    createTestDelivery({ events, isTest }),
    { storeNow: () => NOW, wallClockNow: wallClock },
  ),
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

export const parseCallback = ({ body }: WebhookRequest) => JSON.parse(body) as CallbackBody;
