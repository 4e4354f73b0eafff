/** Webhooks as they are. Their secrets are nowhere to be read. */
import { parseWebhookId } from '../core/ids.ts';
import type { WebhookFormat, WebhookState } from '../core/enums.ts';
import { findValidPreviousSecret, type WebhookRecord } from '../core/webhooks/webhook.ts';
import { builder } from './builder.ts';
import { EventReasonEnum } from './enums.ts';

export const WebhookFormatEnum = builder.enumType('WebhookFormat', {
  description: 'What the requests of a webhook look like.',
  values: {
    STANDARD: { description: 'JSON with a list of events, signed by the convention of Standard Webhooks.' },
    TENCENT: {
      description:
        'A request for each change of a state, as Tencent IM’s State.StateChange. Only where PORCHLIGHT_TENCENT is on.',
    },
  } satisfies Record<WebhookFormat, { readonly description: string }>,
});

const WebhookStateEnum = builder.enumType('WebhookState', {
  description: 'Whether a webhook is delivered to. One that is not keeps its position: nothing is skipped.',
  values: {
    ACTIVE: { description: 'It is.' },
    PAUSED: { description: 'A backend has paused it.' },
    GONE: { description: 'Its receiver has answered 410. `updateWebhook(input: {enabled: true})` tries again.' },
  } satisfies Record<WebhookState, { readonly description: string }>,
});

export const Webhook = builder.objectRef<WebhookRecord>('Webhook').implement({
  description:
    'Somebody whom the events are posted to: each at least once, those of one user in order. Its secret cannot be read: it is shown when it is made or changed, and never again.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'Made by the server.' }),
    url: t.exposeString('url', { description: 'Where to, as it was given.' }),
    format: t.expose('format', { type: WebhookFormatEnum, description: 'What its requests look like.' }),
    reasons: t.expose('reasons', {
      type: [EventReasonEnum],
      nullable: true,
      description: 'Only events with one of these; null: with any.',
    }),
    userStatusOnly: t.exposeBoolean('userStatusOnly', {
      description: 'Only events that change the status of their user.',
    }),
    state: t.expose('state', { type: WebhookStateEnum, description: 'Whether it is delivered to.' }),
    previousSecretValidUntil: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Until when the secret before the present one signs beside it; null: it does not.',
      resolve: (webhook, _args, { application: porchlight }) =>
        findValidPreviousSecret(webhook, porchlight.store.now())?.validUntil ?? null,
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When it was made. It is told what happened from then on.',
    }),
    changedAt: t.expose('changedAt', { type: 'DateTime', description: 'When it last changed.' }),
  }),
});

builder.queryFields((t) => ({
  webhooks: t.field({
    type: [Webhook],
    access: 'backend',
    description: 'All webhooks, in the order in which they were made: at most 100.',
    resolve: (_root, _args, { application: porchlight }) => porchlight.webhookService.listWebhooks(),
  }),
  webhook: t.field({
    type: Webhook,
    nullable: true,
    access: 'backend',
    description: 'One webhook; null: there is none of that id.',
    args: { id: t.arg.id({ required: true, description: 'Its id.' }) },
    resolve: (_root, { id }, { application: porchlight }) => porchlight.webhookService.findWebhook(parseWebhookId(id)),
  }),
}));
