/** What became of what was delivered; and delivering it again, or a test. */
import type { Delivery } from '../app/ports/webhook-store.ts';
import { parseDeliveryId, parseWebhookId } from '../core/ids.ts';
import type { DeliveryStatus } from '../core/enums.ts';
import { builder } from './builder.ts';
import { PresenceEvent } from './events.ts';
import { DEFAULT_PAGE, FIRST_DESCRIPTION, PageInfo, buildPage, checkPageSize, type Page } from './paging.ts';

const DeliveryStatusEnum = builder.enumType('DeliveryStatus', {
  description: 'What became of a delivery.',
  values: {
    RETRYING: { description: 'It has failed, or was given back, and will be tried again.' },
    DELIVERED: { description: 'Its receiver has taken it (2xx). It is known for a day, as one of the last 10,000.' },
    DEAD: { description: 'It was given up. It is known for 30 days, and can be redelivered.' },
  } satisfies Record<DeliveryStatus, { readonly description: string }>,
});

const WebhookDelivery = builder.objectRef<Delivery>('WebhookDelivery').implement({
  description: 'Some events on their way to a webhook, from the first attempt to the last.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The same for every attempt: `webhook-id` of its requests.' }),
    webhookId: t.exposeID('webhookId', { description: 'The webhook it is for.' }),
    status: t.expose('status', { type: DeliveryStatusEnum, description: 'What became of it.' }),
    isTest: t.exposeBoolean('isTest', { description: 'Was it made by `testWebhook`? It has no events then.' }),
    eventCount: t.exposeInt('eventCount', { description: 'How many events it had at first.' }),
    events: t.expose('events', {
      type: [PresenceEvent],
      description:
        'Those that are not delivered yet, in the order of the log; none of one that is DELIVERED. A DEAD one without any, that is no test, says what was lost before it could be read.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was first put together.' }),
    attempts: t.exposeInt('attempts', {
      description: 'How often it was tried, since it was last redelivered if it was.',
    }),
    lastAttemptAt: t.expose('lastAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it was last tried; null: it was not.',
    }),
    lastStatus: t.exposeInt('lastStatus', {
      nullable: true,
      description: 'The HTTP status of the last answer; null: there was none.',
    }),
    lastError: t.exposeString('lastError', {
      nullable: true,
      description:
        'What was wrong with the last attempt, in English, for people; null: nothing. The wording may change.',
    }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it is tried again, unless its webhook is not ACTIVE then; null: it is not.',
    }),
    giveUpAt: t.expose('giveUpAt', {
      type: 'DateTime',
      description: 'An attempt that fails from then on is the last.',
    }),
  }),
});

const WebhookDeliveryConnection = builder.objectRef<Page<Delivery>>('WebhookDeliveryConnection').implement({
  description: 'A page of deliveries.',
  fields: (t) => ({
    nodes: t.expose('nodes', { type: [WebhookDelivery], description: 'The deliveries, the latest first.' }),
    pageInfo: t.expose('pageInfo', { type: PageInfo, description: 'Where the page ends.' }),
  }),
});

builder.queryField('webhookDeliveries', (t) =>
  t.field({
    type: WebhookDeliveryConnection,
    access: 'backend',
    description:
      'What became of what was delivered, the latest first. A page ends early once it has 500 events; `hasNextPage` says whether there is more. BAD_USER_INPUT for a webhook that there is not.',
    args: {
      status: t.arg({ type: DeliveryStatusEnum, description: 'Only those of this status.' }),
      webhookId: t.arg.id({ description: 'Only those of this webhook.' }),
      first: t.arg.int({ defaultValue: DEFAULT_PAGE, description: FIRST_DESCRIPTION }),
      after: t.arg.string({
        description:
          'The `endCursor` of the page before; without it, the first page. BAD_USER_INPUT when that delivery is not known any more.',
      }),
    },
    resolve: async (_root, { status, webhookId: of, first, after }, { application: porchlight }) => {
      const { deliveries, hasMore } = await porchlight.webhookService.listDeliveries({
        status: status ?? null,
        webhookId: of == null ? null : parseWebhookId(of),
        after: after == null ? null : parseDeliveryId(after),
        limit: checkPageSize(first),
      });
      return buildPage(deliveries, hasMore, after ?? null, (delivery) => delivery.id);
    },
  }),
);

const RedeliverInput = builder.inputType('RedeliverInput', {
  description: 'Either one delivery or all that are DEAD of a webhook: exactly one of the two.',
  fields: (t) => ({
    deliveryId: t.id({ description: 'This delivery.' }),
    webhookId: t.id({ description: 'All that are DEAD of this webhook.' }),
  }),
});

const RedeliverPayload = builder.objectRef<{ readonly count: number }>('RedeliverPayload').implement({
  description: 'What will be tried again.',
  fields: (t) => ({
    count: t.exposeInt('count', {
      description: 'How many deliveries were DEAD and are RETRYING now; 0 where none was, which is no error.',
    }),
  }),
});

const TestWebhookInput = builder.inputType('TestWebhookInput', {
  description: 'Which webhook.',
  fields: (t) => ({ id: t.id({ required: true, description: 'Its id.' }) }),
});

const TestWebhookPayload = builder.objectRef<Delivery>('TestWebhookPayload').implement({
  description: 'What became of the test.',
  fields: (t) => ({
    delivery: t.field({
      type: WebhookDelivery,
      description: 'DELIVERED or DEAD, with the receiver’s HTTP status.',
      resolve: (delivery) => delivery,
    }),
  }),
});

builder.mutationFields((t) => ({
  redeliver: t.field({
    type: RedeliverPayload,
    access: 'backend',
    description:
      'Tries DEAD deliveries again, for as long as new ones, beside what is new: out of order. Those of a webhook that is not ACTIVE wait until it is. A test is not redelivered, nor what has no events. BAD_USER_INPUT for a delivery or a webhook that there is not.',
    args: { input: t.arg({ type: RedeliverInput, required: true, description: 'Which deliveries.' }) },
    resolve: async (_root, { input }, { application: porchlight }) => ({
      count: await porchlight.webhookService.redeliver({
        deliveryId: input.deliveryId == null ? null : parseDeliveryId(input.deliveryId),
        webhookId: input.webhookId == null ? null : parseWebhookId(input.webhookId),
      }),
    }),
  }),
  testWebhook: t.field({
    type: TestWebhookPayload,
    access: 'backend',
    description:
      'Posts a test to a webhook, whatever its state, once and at once, and answers when it is taken or has failed: after PORCHLIGHT_WEBHOOK_TIMEOUT at the latest. It is kept as a delivery and changes nothing else. BAD_USER_INPUT for a webhook that there is not, RATE_LIMITED while ten tests are under way.',
    args: { input: t.arg({ type: TestWebhookInput, required: true, description: 'Which webhook.' }) },
    resolve: (_root, { input }, { application: porchlight }) =>
      porchlight.webhookService.sendTestDelivery(parseWebhookId(input.id)),
  }),
}));
