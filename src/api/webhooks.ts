/** The type `Webhook`, `webhooks` and `webhook`. No field returns the secret of a webhook. */
import { parseWebhookId } from '../core/ids.ts';
import type { WebhookFormat, WebhookState } from '../core/enums.ts';
import { findValidPreviousSecret, type WebhookRecord } from '../core/webhooks/webhook.ts';
import { schemaBuilder } from './builder.ts';
import { EventReasonEnum } from './enums.ts';

export const WebhookFormatEnum = schemaBuilder.enumType('WebhookFormat', {
  description: 'The format of the requests of a webhook.',
  values: {
    STANDARD: { description: 'JSON with a list of events, signed as defined by Standard Webhooks.' },
    TENCENT: {
      description:
        'One request per status change, like the callback State.StateChange of Tencent IM. Requires PORCHLIGHT_TENCENT.',
    },
  } satisfies Record<WebhookFormat, { readonly description: string }>,
});

const WebhookStateEnum = schemaBuilder.enumType('WebhookState', {
  description: 'Whether events are delivered to a webhook. An inactive webhook keeps its position and skips no event.',
  values: {
    ACTIVE: { description: 'Events are delivered.' },
    PAUSED: { description: 'A backend paused the webhook.' },
    GONE: {
      description: 'The receiver answered 410. `updateWebhook(input: {enabled: true})` activates the webhook again.',
    },
  } satisfies Record<WebhookState, { readonly description: string }>,
});

export const WebhookType = schemaBuilder.objectRef<WebhookRecord>('Webhook').implement({
  description:
    'A URL to which events are posted. Each event is delivered at least once, and the events of one user in order. The secret is returned only when it is created or changed.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Created by the server.' }),
    url: t.exposeString('url', { description: 'The URL as configured.' }),
    format: t.expose('format', { type: WebhookFormatEnum, description: 'The format of the requests.' }),
    reasons: t.expose('reasons', {
      type: [EventReasonEnum],
      nullable: true,
      description: 'Only events with one of these reasons are delivered. Null: all reasons.',
    }),
    userStatusOnly: t.exposeBoolean('userStatusOnly', {
      description: 'Whether only events that change the status of the user are delivered.',
    }),
    state: t.expose('state', { type: WebhookStateEnum, description: 'Whether events are delivered.' }),
    previousSecretValidUntil: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'Until this time, requests are signed with the previous secret too. Null: with the current one only.',
      resolve: (webhook, _args, { application }) =>
        findValidPreviousSecret(webhook, application.store.now())?.validUntil ?? null,
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When the webhook was created. It receives the events since then.',
    }),
    changedAt: t.expose('changedAt', { type: 'DateTime', description: 'When the webhook last changed.' }),
  }),
});

schemaBuilder.queryFields((t) => ({
  webhooks: t.field({
    type: [WebhookType],
    access: 'backend',
    description: 'All webhooks, at most 100, in the order of their creation. Requires an API key.',
    resolve: (_root, _args, { application }) => application.webhookService.listWebhooks(),
  }),
  webhook: t.field({
    type: WebhookType,
    nullable: true,
    access: 'backend',
    description: 'The webhook with this id, or null. Requires an API key.',
    args: { id: t.arg.id({ required: true, description: 'The id of the webhook.' }) },
    resolve: (_root, { id }, { application }) => application.webhookService.findWebhook(parseWebhookId(id)),
  }),
}));
