/** What the mutations of backends report to the operator log. */
import { expect, it } from 'vitest';
import { BACKEND_CALLER } from '../../../src/app/auth/caller.ts';
import { HOOK } from '../app/webhooks/webhook-service-harness.ts';
import { ApiHarness } from './api-harness.ts';

it('reports a change of the policy', async () => {
  const harness = new ApiHarness();
  await harness.executeAsBackend(
    'mutation { updatePolicy(input: {pushOnlineExpiryMs: 5000}) { policy { pushOnlineExpiryMs } } }',
  );
  expect(harness.operatorLog.entries).toMatchObject([['policyUpdated', { pushOnlineExpiryMs: 5_000 }]]);
});

it('reports the user and the number of ended sessions', async () => {
  const harness = new ApiHarness();
  await harness.login('alice');
  await harness.executeAsBackend(
    'mutation { endSessions(input: {userId: "alice", revokeTokens: true}) { ended { id } } }',
  );
  expect(harness.operatorLog.entries).toEqual([['sessionsEnded', { userId: 'alice', count: 1, revokedTokens: true }]]);
});

it('reports created, updated and deleted webhooks', async () => {
  const harness = new ApiHarness();
  await harness.executeAsBackend('mutation ($url: String!) { createWebhook(input: {url: $url}) { secret } }', {
    url: HOOK,
  });
  await harness.executeAsBackend('mutation { updateWebhook(input: {id: "webhook-1", enabled: false}) { secret } }');
  await harness.executeAsBackend('mutation { deleteWebhook(input: {id: "webhook-1"}) { webhook { id } } }');
  expect(harness.operatorLog.entries).toMatchObject([
    ['webhookCreated', { id: 'webhook-1', state: 'ACTIVE' }],
    ['webhookUpdated', { id: 'webhook-1', state: 'PAUSED' }],
    ['webhookDeleted', { id: 'webhook-1', state: 'PAUSED' }],
  ]);
});

it('reports nothing when the mutation fails', async () => {
  const harness = new ApiHarness();
  for (const mutation of [
    'updatePolicy(input: {pushOnlineExpiryMs: 1}) { policy { pushOnlineExpiryMs } }',
    'endSessions(input: {userId: ""}) { ended { id } }',
    'createWebhook(input: {url: ""}) { secret }',
    'updateWebhook(input: {id: "webhook-9"}) { secret }',
    'deleteWebhook(input: {id: "webhook-9"}) { webhook { id } }',
  ]) {
    const { codes } = await harness.execute(`mutation { ${mutation} }`, { caller: BACKEND_CALLER });
    expect(codes).toEqual(['BAD_USER_INPUT']);
  }
  expect(harness.operatorLog.entries).toEqual([]);
});
