/** `createWebhook`, `updateWebhook` and `deleteWebhook`. */
import type { WebhookWithSecret } from '../app/webhooks/webhook-service.ts';
import { parseWebhookId } from '../core/ids.ts';
import { DEFAULT_PREVIOUS_SECRET_VALID_MS } from '../core/webhooks/webhook-update.ts';
import type { WebhookRecord } from '../core/webhooks/webhook.ts';
import { schemaBuilder } from './builder.ts';
import { WebhookType, WebhookFormatEnum } from './webhooks.ts';
import { EventReasonEnum } from './enums.ts';

const URL_DESCRIPTION =
  'The URL to post to: https, no credentials, at most 2048 characters, and a public address. Server options may also allow http and private addresses.';
const SECRET_FORM =
  'For STANDARD it is `whsec_` and the Base64 of 24 to 64 bytes. For TENCENT it is the token of `Sign`, 1 to 128 characters without control characters.';
const REASONS_DESCRIPTION =
  'Only events with one of these reasons are delivered. At least one reason, without duplicates. Null: all reasons.';
const USER_STATUS_ONLY_DESCRIPTION = 'Whether only events that change the status of the user are delivered.';

const CreateWebhookInput = schemaBuilder.inputType('CreateWebhookInput', {
  description: 'A new webhook.',
  fields: (t) => ({
    url: t.string({ required: true, description: URL_DESCRIPTION }),
    secret: t.string({
      description: `The secret that signs requests. ${SECRET_FORM} If omitted, a secret is generated for STANDARD, and requests are not signed for TENCENT.`,
    }),
    reasons: t.field({ type: [EventReasonEnum], description: REASONS_DESCRIPTION }),
    userStatusOnly: t.boolean({ defaultValue: false, description: USER_STATUS_ONLY_DESCRIPTION }),
    format: t.field({
      type: WebhookFormatEnum,
      defaultValue: 'STANDARD',
      description: 'The format of the requests. TENCENT is answered BAD_USER_INPUT if PORCHLIGHT_TENCENT is off.',
    }),
  }),
});

const UpdateWebhookInput = schemaBuilder.inputType('UpdateWebhookInput', {
  description:
    'A change of a webhook. Omitted fields are unchanged. Null is answered BAD_USER_INPUT, unless the field gives it a meaning. A new URL, format or secret applies from the next attempt, and failed deliveries are retried at once. A new filter (`reasons`, `userStatusOnly`) applies to events that are not in a delivery yet.',
  fields: (t) => ({
    id: t.id({ required: true, description: 'The id of the webhook.' }),
    url: t.string({ description: URL_DESCRIPTION }),
    reasons: t.field({ type: [EventReasonEnum], description: REASONS_DESCRIPTION }),
    userStatusOnly: t.boolean({ description: USER_STATUS_ONLY_DESCRIPTION }),
    format: t.field({
      type: WebhookFormatEnum,
      description:
        'The format of the requests. A change from TENCENT to STANDARD requires a secret of that form, by `secret` or `rotateSecret`.',
    }),
    enabled: t.boolean({
      description:
        'True activates a PAUSED or GONE webhook, which continues at its position. False pauses the webhook.',
    }),
    secret: t.string({
      description: `A new secret. ${SECRET_FORM} The current secret is answered BAD_USER_INPUT. Null removes the secret, which only TENCENT allows.`,
    }),
    rotateSecret: t.boolean({
      defaultValue: false,
      description:
        'Whether to generate a new secret and return it. Not allowed together with `secret`. Null means false.',
    }),
    previousSecretValidMs: t.float({
      defaultValue: DEFAULT_PREVIOUS_SECRET_VALID_MS,
      description:
        'How long requests are also signed with the current secret after a new one is set, in whole milliseconds: 0 to 2592000000 (30 days). Null means one day. STANDARD only. Ignored without a new secret.',
    }),
  }),
});

const DeleteWebhookInput = schemaBuilder.inputType('DeleteWebhookInput', {
  description: 'Selects a webhook.',
  fields: (t) => ({ id: t.id({ required: true, description: 'The id of the webhook.' }) }),
});

const SECRET_DESCRIPTION = 'The secret that signs requests. Store it, because it is not returned again.';

const CreateWebhookPayload = schemaBuilder.objectRef<WebhookWithSecret>('CreateWebhookPayload').implement({
  description: 'The result of `createWebhook`.',
  fields: (t) => ({
    webhook: t.expose('webhook', {
      type: WebhookType,
      description: 'The new webhook. It is ACTIVE and receives the events from now on.',
    }),
    secret: t.exposeString('secret', {
      nullable: true,
      description: `${SECRET_DESCRIPTION} Null if requests are not signed.`,
    }),
  }),
});

const UpdateWebhookPayload = schemaBuilder.objectRef<WebhookWithSecret>('UpdateWebhookPayload').implement({
  description: 'The result of `updateWebhook`.',
  fields: (t) => ({
    webhook: t.expose('webhook', { type: WebhookType, description: 'The webhook after the change.' }),
    secret: t.exposeString('secret', {
      nullable: true,
      description: `${SECRET_DESCRIPTION} Null if the secret did not change.`,
    }),
  }),
});

const DeleteWebhookPayload = schemaBuilder.objectRef<WebhookRecord>('DeleteWebhookPayload').implement({
  description: 'The result of `deleteWebhook`.',
  fields: (t) => ({
    webhook: t.field({
      type: WebhookType,
      description: 'The last state of the deleted webhook.',
      resolve: (webhook) => webhook,
    }),
  }),
});

schemaBuilder.mutationFields((t) => ({
  createWebhook: t.field({
    type: CreateWebhookPayload,
    access: 'backend',
    description:
      'Creates a webhook, which receives the events from now on. BAD_USER_INPUT for an invalid value, for a URL that is not allowed, and if 100 webhooks exist. Requires an API key.',
    args: { input: t.arg({ type: CreateWebhookInput, required: true, description: 'The new webhook.' }) },
    resolve: async (_root, { input }, { application }) => {
      const created = await application.webhookService.createWebhook(input);
      application.operatorLog.webhookCreated(created.webhook);
      return created;
    },
  }),
  updateWebhook: t.field({
    type: UpdateWebhookPayload,
    access: 'backend',
    description:
      'Changes a webhook, either completely or not at all. BAD_USER_INPUT as for `createWebhook`, and for an unknown id. Requires an API key.',
    args: { input: t.arg({ type: UpdateWebhookInput, required: true, description: 'The change.' }) },
    resolve: async (_root, { input: { id, ...change } }, { application }) => {
      const updated = await application.webhookService.updateWebhook(parseWebhookId(id), change);
      application.operatorLog.webhookUpdated(updated.webhook);
      return updated;
    },
  }),
  deleteWebhook: t.field({
    type: DeleteWebhookPayload,
    access: 'backend',
    description:
      'Deletes a webhook and its deliveries. Only a request that is already running may still arrive. BAD_USER_INPUT for an unknown id. Requires an API key.',
    args: { input: t.arg({ type: DeleteWebhookInput, required: true, description: 'The webhook to delete.' }) },
    resolve: async (_root, { input }, { application }) => {
      const webhook = await application.webhookService.deleteWebhook(parseWebhookId(input.id));
      application.operatorLog.webhookDeleted(webhook);
      return webhook;
    },
  }),
}));
