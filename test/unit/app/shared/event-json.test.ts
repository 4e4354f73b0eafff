/** What webhooks and exports tell of an event is what GraphQL tells. */
import { isObjectType } from 'graphql';
import { expect, it } from 'vitest';
import { schema } from '../../../../src/api/schema.ts';
import { toldEvent } from '../../../../src/app/shared/event-json.ts';
import { World } from '../../api/api-harness.ts';

it('an event is told with every field of PresenceEvent, in the same form', async () => {
  const world = new World();
  await world.login('alice', 'ANDROID');
  world.clock.advance(1_234);
  const iphone = await world.login('alice', 'IPHONE', 'd2');
  world.clock.advance(86_400_000);
  await world.porchlight.tracker.setCustomStatus(iphone, 'Zoë “on the move”\n\u2028🚲');
  const type = schema.getType('PresenceEvent');
  if (!isObjectType(type)) throw new Error('There is no PresenceEvent.');
  const fields = Object.keys(type.getFields());

  const { events } = await world.backend<{ events: { nodes: unknown[] } }>(
    `{ events { nodes { ${fields.join(' ')} } } }`,
  );
  const logged = await world.store.log.read({ after: null, limit: 100 });

  expect(events.nodes).toMatchObject([
    { reason: 'LOGIN', kickedBy: null, customStatus: null, ipAddress: '192.0.2.7' },
    { reason: 'LOGIN', platform: 'IPHONE' },
    { reason: 'KICKED', platform: 'ANDROID', kickedBy: 'IPHONE' },
    { reason: 'CUSTOM_STATUS', occurredAt: '2026-01-02T00:00:01.234Z' },
  ]);
  expect(JSON.parse(JSON.stringify(logged.events.map(toldEvent)))).toStrictEqual(events.nodes);
});
