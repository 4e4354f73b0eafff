/** Webhooks and exports write an event exactly as GraphQL does. */
import { isObjectType } from 'graphql';
import { expect, it } from 'vitest';
import { schema } from '../../../../src/api/schema.ts';
import { eventToJson } from '../../../../src/app/shared/event-json.ts';
import { ApiHarness } from '../../api/api-harness.ts';

it('an event has every field of PresenceEvent, in the same form', async () => {
  const harness = new ApiHarness();
  await harness.login('alice', 'ANDROID');
  harness.clock.advance(1_234);
  const iphone = await harness.login('alice', 'IPHONE', 'd2');
  harness.clock.advance(86_400_000);
  await harness.application.tracker.setCustomStatus(iphone, 'Zoë “on the move”\n\u2028🚲');
  const type = schema.getType('PresenceEvent');
  if (!isObjectType(type)) throw new Error('There is no PresenceEvent.');
  const fields = Object.keys(type.getFields());

  const { events } = await harness.executeAsBackend<{ events: { nodes: unknown[] } }>(
    `{ events { nodes { ${fields.join(' ')} } } }`,
  );
  const logged = await harness.store.eventLog.readEvents({ after: null, limit: 100 });

  expect(events.nodes).toMatchObject([
    { reason: 'LOGIN', kickedBy: null, customStatus: null, ipAddress: '192.0.2.7' },
    { reason: 'LOGIN', platform: 'IPHONE' },
    { reason: 'KICKED', platform: 'ANDROID', kickedBy: 'IPHONE' },
    { reason: 'CUSTOM_STATUS', occurredAt: '2026-01-02T00:00:01.234Z' },
  ]);
  expect(JSON.parse(JSON.stringify(logged.events.map(eventToJson)))).toStrictEqual(events.nodes);
});
