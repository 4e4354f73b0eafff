/** An explanation is of one instant, whatever changes while it is made. */
import { expect, it } from 'vitest';
import { explainUser } from '../../../../src/app/presence/explain-user.ts';
import { ALICE, AppHarness } from '../support/app-harness.ts';

it.each(['reading the log', 'before reading', 'after reading'] as const)(
  'an explanation contains a change during it (%s) in the record and in the events, or in neither',
  async (place) => {
    const harness = new AppHarness();
    await harness.login(ALICE);
    const reached = harness.store.gates.hold(place);
    const asked = explainUser(harness.store, ALICE);
    await reached;
    await harness.login(ALICE, 'WEB');
    harness.store.gates.open(place);
    const { user, events, because } = await asked;
    const newest = events.find(({ reason }) => reason === 'LOGIN');
    expect(user.sessions.map(({ id }) => id)).toEqual([newest?.sessionId]);
    expect(because).toContain(`ONLINE because ${newest?.platform ?? ''} device`);
  },
);
