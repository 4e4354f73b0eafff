/** Webhooks are made, changed and deleted. */
import type { WebhookWithSecret } from '../app/webhooks/webhook-service.ts';
import { parseWebhookId } from '../core/ids.ts';
import { DEFAULT_PREVIOUS_SECRET_VALID_MS } from '../core/webhooks/webhook-update.ts';
import type { WebhookRecord } from '../core/webhooks/webhook.ts';
import { builder } from './builder.ts';
import { Webhook, WebhookFormatEnum } from './webhooks.ts';
import { EventReasonEnum } from './enums.ts';

const URL_DESCRIPTION =
  'Where to post to: https, without credentials, at most 2048 characters, and no address that is not public, unless the server’s settings allow it.';
const SECRET_FORM =
  'for STANDARD `whsec_` and the Base64 of 24 to 64 bytes, for TENCENT the token of `Sign`, 1 to 128 characters without control characters.';
const REASONS_DESCRIPTION = 'Only events with one of these: at least one, none twice. Null: with any.';
const USER_STATUS_ONLY = 'Only events that change the status of their user?';

const CreateWebhookInput = builder.inputType('CreateWebhookInput', {
  description: 'What is to be delivered, and where to.',
  fields: (t) => ({
    url: t.string({ required: true, description: URL_DESCRIPTION }),
    secret: t.string({
      description: `What requests are signed with: ${SECRET_FORM} Without it one is made for STANDARD, and requests of TENCENT are not signed.`,
    }),
    reasons: t.field({ type: [EventReasonEnum], description: REASONS_DESCRIPTION }),
    userStatusOnly: t.boolean({ defaultValue: false, description: USER_STATUS_ONLY }),
    format: t.field({
      type: WebhookFormatEnum,
      defaultValue: 'STANDARD',
      description: 'What its requests look like. TENCENT is BAD_USER_INPUT where PORCHLIGHT_TENCENT is not on.',
    }),
  }),
});

const UpdateWebhookInput = builder.inputType('UpdateWebhookInput', {
  description:
    'A change of a webhook. What is left out stays as it is; null is BAD_USER_INPUT where it is not said to mean something. A new URL, format or secret holds from the next attempt on, which is made at once for what has failed; the filter, `reasons` and `userStatusOnly`, for what is in no delivery yet.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'Which webhook.' }),
    url: t.string({ description: URL_DESCRIPTION }),
    reasons: t.field({ type: [EventReasonEnum], description: REASONS_DESCRIPTION }),
    userStatusOnly: t.boolean({ description: USER_STATUS_ONLY }),
    format: t.field({
      type: WebhookFormatEnum,
      description:
        'What its requests look like. From TENCENT to STANDARD it needs a secret of that form: with `secret` or `rotateSecret`.',
    }),
    enabled: t.boolean({
      description: 'True: ACTIVE, where it was PAUSED or GONE. False: PAUSED. It goes on where it stood.',
    }),
    secret: t.string({
      description: `A new secret: ${SECRET_FORM} The present one is BAD_USER_INPUT. Null: none from now on, which only TENCENT allows.`,
    }),
    rotateSecret: t.boolean({
      defaultValue: false,
      description: 'Make a new secret, and show it. Not together with `secret`. Null: no.',
    }),
    previousSecretValidMs: t.float({
      defaultValue: DEFAULT_PREVIOUS_SECRET_VALID_MS,
      description:
        'For how long the present secret signs beside the new one, in whole milliseconds: 0 (not at all) to 2592000000 (30 days). Null: a day. For STANDARD; without a new secret it is of no matter.',
    }),
  }),
});

const DeleteWebhookInput = builder.inputType('DeleteWebhookInput', {
  description: 'Which webhook.',
  fields: (t) => ({ id: t.id({ required: true, description: 'Its id.' }) }),
});

const SECRET_DESCRIPTION = 'What its requests are signed with. Keep it: it is not shown again.';

const CreateWebhookPayload = builder.objectRef<WebhookWithSecret>('CreateWebhookPayload').implement({
  description: 'The new webhook.',
  fields: (t) => ({
    webhook: t.expose('webhook', { type: Webhook, description: 'It is ACTIVE: told what happens from now on.' }),
    secret: t.exposeString('secret', {
      nullable: true,
      description: `${SECRET_DESCRIPTION} Null: they are not signed.`,
    }),
  }),
});

const UpdateWebhookPayload = builder.objectRef<WebhookWithSecret>('UpdateWebhookPayload').implement({
  description: 'The webhook after the change.',
  fields: (t) => ({
    webhook: t.expose('webhook', { type: Webhook, description: 'As it is from now on.' }),
    secret: t.exposeString('secret', {
      nullable: true,
      description: `${SECRET_DESCRIPTION} Null: there is no new one.`,
    }),
  }),
});

const DeleteWebhookPayload = builder.objectRef<WebhookRecord>('DeleteWebhookPayload').implement({
  description: 'What was deleted.',
  fields: (t) => ({
    webhook: t.field({ type: Webhook, description: 'The webhook as it was last.', resolve: (webhook) => webhook }),
  }),
});

builder.mutationFields((t) => ({
  createWebhook: t.field({
    type: CreateWebhookPayload,
    access: 'backend',
    description:
      'Makes a webhook, which is told what happens from now on. BAD_USER_INPUT for what does not fit, for a URL that may not be sent to, and when there are 100 already.',
    args: { input: t.arg({ type: CreateWebhookInput, required: true, description: 'What, and where to.' }) },
    resolve: (_root, { input }, { application: porchlight }) => porchlight.webhookService.createWebhook(input),
  }),
  updateWebhook: t.field({
    type: UpdateWebhookPayload,
    access: 'backend',
    description:
      'Changes a webhook, as a whole or not at all. BAD_USER_INPUT as for `createWebhook`, and for a webhook that there is not.',
    args: { input: t.arg({ type: UpdateWebhookInput, required: true, description: 'The change.' }) },
    resolve: (_root, { input: { id, ...change } }, { application: porchlight }) =>
      porchlight.webhookService.updateWebhook(parseWebhookId(id), change),
  }),
  deleteWebhook: t.field({
    type: DeleteWebhookPayload,
    access: 'backend',
    description:
      'Deletes a webhook with its deliveries: nothing more is sent to it, but what is on its way. BAD_USER_INPUT for a webhook that there is not.',
    args: { input: t.arg({ type: DeleteWebhookInput, required: true, description: 'Which webhook.' }) },
    resolve: (_root, { input }, { application: porchlight }) =>
      porchlight.webhookService.deleteWebhook(parseWebhookId(input.id)),
  }),
}));
