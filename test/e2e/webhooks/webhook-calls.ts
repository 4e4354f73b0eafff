/** GraphQL operations of a backend on webhooks and deliveries. */
import { expect } from 'vitest';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { postForData } from '../../support/porchlight-client.ts';
import type { ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { EVENT, type EventResult, type Server } from '../support/users.ts';

export interface WebhookResult {
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

interface WebhookPayload {
  readonly webhook: WebhookResult;
  readonly secret: string | null;
}

type Input = Readonly<Record<string, unknown>>;

export const CREATE_WEBHOOK = `mutation ($input: CreateWebhookInput!) {
  createWebhook(input: $input) { secret webhook { ${WEBHOOK} } } }`;

export const createWebhook = async (server: Server, input: Input): Promise<WebhookPayload> =>
  (await postForData<{ createWebhook: WebhookPayload }>(server, server.apiKey, CREATE_WEBHOOK, { input }))
    .createWebhook;

const UPDATE = `mutation ($input: UpdateWebhookInput!) { updateWebhook(input: $input) { secret webhook { ${WEBHOOK} } } }`;

export const updateWebhook = async (server: Server, input: Input): Promise<WebhookPayload> =>
  (await postForData<{ updateWebhook: WebhookPayload }>(server, server.apiKey, UPDATE, { input })).updateWebhook;

/** Creates a webhook to a path of the receiver, which stores its secret under the name `now`. */
export const createReceivedWebhook = async (
  server: Server,
  receiver: ReceiverProcess,
  path: string,
  input: Input = {},
): Promise<WebhookResult & { readonly secret: string }> => {
  const { webhook, secret } = await createWebhook(server, { url: receiver.url(path), ...input });
  await receiver.setSecrets(path, { now: secret ?? '' });
  return { ...webhook, secret: secret ?? '' };
};

export const fetchWebhook = async (server: Server, id: string): Promise<WebhookResult | null> => {
  const query = `query ($id: ID!) { webhook(id: $id) { ${WEBHOOK} } }`;
  return (await postForData<{ webhook: WebhookResult | null }>(server, server.apiKey, query, { id })).webhook;
};

export interface DeliveryResult {
  readonly id: string;
  readonly webhookId: string;
  readonly status: 'RETRYING' | 'DELIVERED' | 'DEAD';
  readonly isTest: boolean;
  readonly eventCount: number;
  readonly events: readonly EventResult[];
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

/** One page, the latest first. */
export const fetchDeliveries = async (
  server: Server,
  webhookId: string,
  status: DeliveryResult['status'] | null = null,
): Promise<readonly DeliveryResult[]> => {
  const query = `query ($webhookId: ID, $status: DeliveryStatus) {
    webhookDeliveries(webhookId: $webhookId, status: $status, first: 500) { nodes { ${DELIVERY} } } }`;
  const asked = await postForData<{ webhookDeliveries: { nodes: DeliveryResult[] } }>(server, server.apiKey, query, {
    webhookId,
    status,
  });
  return asked.webhookDeliveries.nodes;
};

/** Resolves when the deliveries of a webhook match `expected`, the latest first. */
export const waitForDeliveries = (
  server: Server,
  webhookId: string,
  expected: readonly Partial<DeliveryResult>[],
): Promise<readonly DeliveryResult[]> =>
  retryUntilPasses(async () => {
    const deliveries = await fetchDeliveries(server, webhookId);
    expect(deliveries).toMatchObject(expected);
    return deliveries;
  }, 20_000);
