/** Webhooks and their deliveries, as a backend makes them and asks about them. */
import { expect } from 'vitest';
import { eventually } from '../../support/crash/crash-stream.ts';
import { ask } from '../../support/porchlight-client.ts';
import type { ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { EVENT, type EventSeen, type Server } from '../support/users.ts';

export interface WebhookSeen {
  readonly id: string;
  readonly url: string;
  readonly format: 'STANDARD' | 'TENCENT';
  readonly reasons: readonly string[] | null;
  readonly userStatusOnly: boolean;
  readonly state: 'ACTIVE' | 'PAUSED' | 'GONE';
  readonly previousSecretValidUntil: string | null;
  readonly createdAt: string;
  readonly changedAt: string;
}

const WEBHOOK = 'id url format reasons userStatusOnly state previousSecretValidUntil createdAt changedAt';

interface Made {
  readonly webhook: WebhookSeen;
  readonly secret: string | null;
}

type Input = Readonly<Record<string, unknown>>;

export const CREATE_WEBHOOK = `mutation ($input: CreateWebhookInput!) {
  createWebhook(input: $input) { secret webhook { ${WEBHOOK} } } }`;

export const createWebhook = async (server: Server, input: Input): Promise<Made> =>
  (await ask<{ createWebhook: Made }>(server, server.apiKey, CREATE_WEBHOOK, { input })).createWebhook;

const UPDATE = `mutation ($input: UpdateWebhookInput!) { updateWebhook(input: $input) { secret webhook { ${WEBHOOK} } } }`;

export const updateWebhook = async (server: Server, input: Input): Promise<Made> =>
  (await ask<{ updateWebhook: Made }>(server, server.apiKey, UPDATE, { input })).updateWebhook;

/** A webhook to a path of the receiver, which knows its secret from then on by the name `now`. */
export const webhookTo = async (
  server: Server,
  receiver: ReceiverProcess,
  path: string,
  input: Input = {},
): Promise<WebhookSeen & { readonly secret: string }> => {
  const { webhook, secret } = await createWebhook(server, { url: receiver.url(path), ...input });
  await receiver.trusts(path, { now: secret ?? '' });
  return { ...webhook, secret: secret ?? '' };
};

export const webhookSeen = async (server: Server, id: string): Promise<WebhookSeen | null> => {
  const query = `query ($id: ID!) { webhook(id: $id) { ${WEBHOOK} } }`;
  return (await ask<{ webhook: WebhookSeen | null }>(server, server.apiKey, query, { id })).webhook;
};

export interface DeliverySeen {
  readonly id: string;
  readonly webhookId: string;
  readonly status: 'RETRYING' | 'DELIVERED' | 'DEAD';
  readonly isTest: boolean;
  readonly eventCount: number;
  readonly events: readonly EventSeen[];
  readonly createdAt: string;
  readonly attempts: number;
  readonly lastAttemptAt: string | null;
  readonly lastStatus: number | null;
  readonly lastError: string | null;
  readonly nextAttemptAt: string | null;
  readonly giveUpAt: string;
}

const DELIVERY = `id webhookId status isTest eventCount events { ${EVENT} } createdAt attempts lastAttemptAt lastStatus
  lastError nextAttemptAt giveUpAt`;

/** The latest first; as many as a page has. */
export const deliveriesOf = async (
  server: Server,
  webhookId: string,
  status: DeliverySeen['status'] | null = null,
): Promise<readonly DeliverySeen[]> => {
  const query = `query ($webhookId: ID, $status: DeliveryStatus) {
    webhookDeliveries(webhookId: $webhookId, status: $status, first: 500) { nodes { ${DELIVERY} } } }`;
  const asked = await ask<{ webhookDeliveries: { nodes: DeliverySeen[] } }>(server, server.apiKey, query, {
    webhookId,
    status,
  });
  return asked.webhookDeliveries.nodes;
};

/** Resolves with all the deliveries of a webhook, the latest first, as soon as they are as they should be. */
export const deliveriesThatAre = (
  server: Server,
  webhookId: string,
  expected: readonly Partial<DeliverySeen>[],
): Promise<readonly DeliverySeen[]> =>
  eventually(async () => {
    const deliveries = await deliveriesOf(server, webhookId);
    expect(deliveries).toMatchObject(expected);
    return deliveries;
  }, 20_000);
