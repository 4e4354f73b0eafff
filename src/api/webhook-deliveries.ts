/** `webhookDeliveries`, `redeliver` and `testWebhook`. */
import type { Delivery } from '../app/ports/webhook-store.ts';
import { parseDeliveryId, parseWebhookId } from '../core/ids.ts';
import type { DeliveryStatus } from '../core/enums.ts';
import { schemaBuilder } from './builder.ts';
import { PresenceEventType } from './events.ts';
import {
  DEFAULT_PAGE_SIZE,
  PAGE_SIZE_DESCRIPTION,
  PageInfoType,
  buildPage,
  checkPageSize,
  type Page,
} from './paging.ts';

const DeliveryStatusEnum = schemaBuilder.enumType('DeliveryStatus', {
  description: 'The state of a delivery.',
  values: {
    RETRYING: { description: 'The last attempt failed, or the delivery was redelivered. Further attempts follow.' },
    DELIVERED: { description: 'The receiver answered 2xx. The last 10,000 such deliveries are kept for one day.' },
    DEAD: { description: 'All attempts failed. The delivery is kept for 30 days, and can be redelivered.' },
  } satisfies Record<DeliveryStatus, { readonly description: string }>,
});

const WebhookDelivery = schemaBuilder.objectRef<Delivery>('WebhookDelivery').implement({
  description: 'A list of events that is sent to a webhook in one or more attempts.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the delivery. Every attempt sends it as the header `webhook-id`.' }),
    webhookId: t.exposeID('webhookId', { description: 'The webhook of the delivery.' }),
    status: t.expose('status', { type: DeliveryStatusEnum, description: 'The state of the delivery.' }),
    isTest: t.exposeBoolean('isTest', {
      description: 'Whether `testWebhook` created the delivery. A test has no events.',
    }),
    eventCount: t.exposeInt('eventCount', { description: 'The initial number of events.' }),
    events: t.expose('events', {
      type: [PresenceEventType],
      description:
        'The events that are not delivered yet, in the order of the event log. Empty for DELIVERED. If a DEAD delivery that is not a test has no events, they were deleted by the event retention before they could be sent.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the delivery was created.' }),
    attempts: t.exposeInt('attempts', {
      description: 'The number of attempts since the creation or the last redelivery.',
    }),
    lastAttemptAt: t.expose('lastAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the last attempt was made. Null without any attempt.',
    }),
    lastStatus: t.exposeInt('lastStatus', {
      nullable: true,
      description: 'The HTTP status of the last attempt. Null without a response.',
    }),
    lastError: t.exposeString('lastError', {
      nullable: true,
      description:
        'The error of the last attempt in English, for people. The wording may change. Null without an error.',
    }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the next attempt is due, if the webhook is ACTIVE then. Null if no attempt follows.',
    }),
    giveUpAt: t.expose('giveUpAt', {
      type: 'DateTime',
      description: 'The first attempt that fails after this time is the last one.',
    }),
  }),
});

const WebhookDeliveryConnection = schemaBuilder.objectRef<Page<Delivery>>('WebhookDeliveryConnection').implement({
  description: 'A page of deliveries.',
  fields: (t) => ({
    nodes: t.expose('nodes', { type: [WebhookDelivery], description: 'The deliveries, the newest first.' }),
    pageInfo: t.expose('pageInfo', { type: PageInfoType, description: 'The end of the page.' }),
  }),
});

schemaBuilder.queryField('webhookDeliveries', (t) =>
  t.field({
    type: WebhookDeliveryConnection,
    access: 'backend',
    description:
      'The deliveries of all webhooks or of one webhook, the newest first. A page ends early when it contains 500 events; use `hasNextPage` to see whether more follow. BAD_USER_INPUT for an unknown webhook. Requires an API key.',
    args: {
      status: t.arg({ type: DeliveryStatusEnum, description: 'Only deliveries in this state.' }),
      webhookId: t.arg.id({ description: 'Only deliveries of this webhook.' }),
      first: t.arg.int({ defaultValue: DEFAULT_PAGE_SIZE, description: PAGE_SIZE_DESCRIPTION }),
      after: t.arg.string({
        description:
          'The `endCursor` of the previous page. Omitted: the first page. BAD_USER_INPUT if that delivery no longer exists.',
      }),
    },
    resolve: async (_root, { status, webhookId: webhook, first, after }, { application }) => {
      const { deliveries, hasMore } = await application.webhookService.listDeliveries({
        status: status ?? null,
        webhookId: webhook == null ? null : parseWebhookId(webhook),
        after: after == null ? null : parseDeliveryId(after),
        limit: checkPageSize(first),
      });
      return buildPage(deliveries, hasMore, after ?? null, (delivery) => delivery.id);
    },
  }),
);

const RedeliverInput = schemaBuilder.inputType('RedeliverInput', {
  description: 'Selects one delivery, or all DEAD deliveries of a webhook. Exactly one of the two fields is required.',
  fields: (t) => ({
    deliveryId: t.id({ description: 'The delivery.' }),
    webhookId: t.id({ description: 'The webhook whose DEAD deliveries are selected.' }),
  }),
});

const RedeliverPayload = schemaBuilder.objectRef<{ readonly count: number }>('RedeliverPayload').implement({
  description: 'The result of `redeliver`.',
  fields: (t) => ({
    count: t.exposeInt('count', {
      description:
        'The number of deliveries that changed from DEAD to RETRYING. 0 if none was DEAD, which is not an error.',
    }),
  }),
});

const TestWebhookInput = schemaBuilder.inputType('TestWebhookInput', {
  description: 'Selects a webhook.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The id of the webhook.' }) }),
});

const TestWebhookPayload = schemaBuilder.objectRef<Delivery>('TestWebhookPayload').implement({
  description: 'The result of `testWebhook`.',
  fields: (t) => ({
    delivery: t.field({
      type: WebhookDelivery,
      description: 'The test delivery: DELIVERED or DEAD, with the HTTP status of the receiver.',
      resolve: (delivery) => delivery,
    }),
  }),
});

schemaBuilder.mutationFields((t) => ({
  redeliver: t.field({
    type: RedeliverPayload,
    access: 'backend',
    description:
      'Retries DEAD deliveries for as long as new ones. They are sent in parallel with new events, so their order is not guaranteed. Deliveries of a webhook that is not ACTIVE wait until it is. Tests and deliveries without events are not redelivered. BAD_USER_INPUT for an unknown delivery or webhook. Requires an API key.',
    args: { input: t.arg({ type: RedeliverInput, required: true, description: 'The deliveries to retry.' }) },
    resolve: async (_root, { input }, { application }) => ({
      count: await application.webhookService.redeliver({
        deliveryId: input.deliveryId == null ? null : parseDeliveryId(input.deliveryId),
        webhookId: input.webhookId == null ? null : parseWebhookId(input.webhookId),
      }),
    }),
  }),
  testWebhook: t.field({
    type: TestWebhookPayload,
    access: 'backend',
    description:
      'Sends one test request to a webhook in any state, without retries. It returns when the receiver answered or the request failed, after PORCHLIGHT_WEBHOOK_TIMEOUT at the latest. The test is kept as a delivery and changes nothing else. BAD_USER_INPUT for an unknown webhook, RATE_LIMITED while ten tests are running. Requires an API key.',
    args: { input: t.arg({ type: TestWebhookInput, required: true, description: 'The webhook to test.' }) },
    resolve: (_root, { input }, { application }) =>
      application.webhookService.sendTestDelivery(parseWebhookId(input.id)),
  }),
}));
