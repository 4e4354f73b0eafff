/** What is predicted is what happens: at that very moment, not a millisecond before, for that reason. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { computeUserDeadline } from '../../../src/core/deadlines.ts';
import { explainStatus, type StatusExplanation } from '../../../src/core/explain-status.ts';
import { addMs, type Millis } from '../../../src/core/ids.ts';
import type { Policy } from '../../../src/core/policy.ts';
import { applyCommand } from '../../../src/core/state-machine.ts';
import type { PresenceEvent, UserRecord } from '../../../src/core/records.ts';
import { NO_PAUSES, type ProcessPauses } from '../../../src/core/process-pauses.ts';
import { Story } from './harness.ts';
import { commands } from './model/commands.ts';
import { policyChange } from './model/policy-changes.ts';
import { ModelWorld } from './model/model-world.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

const RUNS = process.env.STRYKER_MUTATOR_WORKER === undefined ? 600 : 100;

interface Rules {
  readonly policy: Policy;
  readonly sleeps: ProcessPauses;
}

interface Passed {
  readonly user: UserRecord;
  readonly events: readonly PresenceEvent[];
}

/** Nothing is heard, and the timer is on time until `end`. What is overdue at `start` happens then. */
const silence = (user: UserRecord, { policy, sleeps }: Rules, start: Millis, end: Millis): Passed => {
  const events: PresenceEvent[] = [];
  for (let now = start; now <= end;) {
    const outcome = applyCommand(user, { type: 'expire' }, policy, now, sleeps);
    user = outcome.user;
    events.push(...outcome.changes.flatMap((change) => change.events));
    const due = computeUserDeadline(user, sleeps);
    if (due === null || due <= now) break;
    now = due;
  }
  return { user, events };
};

const before = (moment: Millis): Millis => addMs(moment, -1);

/** What kinds of prediction were met: a property that never meets one proves nothing of it. */
const met = new Set<string>();

const comesTrue = (user: UserRecord, now: Millis, rules: Rules): void => {
  const { policy, sleeps } = rules;
  const { sessions, next, nextStatus, decidedBy } = explainStatus(user, policy, now, sleeps);
  expect(sessions.map(({ session }) => session)).toEqual(user.sessions);
  expect(next === null).toBe(sessions.length === 0);
  expect(nextStatus === null).toBe(user.status === 'OFFLINE');
  expect(decidedBy?.status ?? 'OFFLINE').toBe(user.status);
  if (next === null || nextStatus === null) return;

  expect(next.at).toBe(computeUserDeadline(user, sleeps));
  if (next.at > now) expect(applyCommand(user, { type: 'expire' }, policy, before(next.at), sleeps).user).toBe(user);
  for (const { session, next: own } of sessions) {
    const happens = own.at > now ? own.at : now;
    const isOf = ({ sessionId }: PresenceEvent): boolean => sessionId === session.id;
    if (own.at > now) expect(silence(user, rules, now, before(own.at)).events.filter(isOf)).toEqual([]);
    expect(silence(user, rules, now, happens).events.find(isOf)).toMatchObject({
      reason: own.reason,
      sessionStatus: own.sessionStatus,
      occurredAt: happens,
    });
    met.add(`${own.reason} ${own.sessionStatus}${own.at > now ? '' : ' overdue'}`);
  }

  expect(nextStatus.sessionId).toBe(decidedBy?.id);
  const changes = nextStatus.at > now ? nextStatus.at : now;
  if (nextStatus.at > now) expect(silence(user, rules, now, before(changes)).user.status).toBe(user.status);
  const { user: after, events } = silence(user, rules, now, changes);
  expect(after).toMatchObject({ status: nextStatus.status, changedAt: changes });
  expect(events.find(({ version }) => version > user.version)).toMatchObject({
    sessionId: nextStatus.sessionId,
    reason: nextStatus.reason,
    sessionStatus: nextStatus.sessionStatus,
  });
  if (user.sessions.length > 1) met.add('of several');
  if (next.at !== computeUserDeadline(user, NO_PAUSES)) met.add('after a sleep');
};

describe('the prediction of random lives', () => {
  it(`comes true (${RUNS} lives)`, { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(policyChange, commands, fc.constantFrom(0, 0, 1, 90 * SECOND, 8 * DAY), (change, acts, late) => {
        const world = new ModelWorld(0);
        world.changePolicy(change);
        const [alice] = world.people;
        for (const act of acts) {
          act.run(world);
          if (alice !== undefined) comesTrue(alice.record, world.now, world);
        }
        world.passes(late);
        for (const { record } of world.people) comesTrue(record, world.now, world);
      }),
      { numRuns: RUNS },
    );
  });

  it('was of every kind there is', () => {
    const kinds = [
      'HEARTBEAT_TIMEOUT PUSH_ONLINE',
      'HEARTBEAT_TIMEOUT OFFLINE',
      'BACKGROUND_TIMEOUT PUSH_ONLINE',
      'BACKGROUND_TIMEOUT OFFLINE',
      'DISCONNECT PUSH_ONLINE',
      'DISCONNECT OFFLINE',
      'PUSH_EXPIRED OFFLINE',
    ];
    const overdue = kinds.filter((kind) => /^(HEART|PUSH)/.test(kind)).map((kind) => `${kind} overdue`);
    expect([...met]).toEqual(expect.arrayContaining([...kinds, ...overdue, 'of several', 'after a sleep']));
  });
});

describe('who makes her what she is', () => {
  const explained = (story: Story): StatusExplanation => explainStatus(story.user, story.policy, story.now);

  it('is nobody when she is OFFLINE, or was never seen', () => {
    expect(explained(new Story())).toMatchObject({ decidedBy: null, sessions: [], next: null, nextStatus: null });
  });

  it('is the session that would keep her there the longest, whenever it logged in', () => {
    const story = new Story({ multiDevice: { mode: 'MULTI' } });
    const phone = story.login('IPHONE');
    const web = story.login('WEB');
    const { decidedBy, next, nextStatus } = explained(story);
    expect(decidedBy?.id).toBe(phone);
    expect(next).toMatchObject({ sessionId: web, reason: 'HEARTBEAT_TIMEOUT', sessionStatus: 'OFFLINE' });
    expect(nextStatus).toMatchObject({ sessionId: phone, status: 'PUSH_ONLINE', at: addMs(story.now, 400 * SECOND) });
  });

  it('is none that is PUSH_ONLINE while another is ONLINE, however late that one expires', () => {
    const story = new Story({ multiDevice: { mode: 'MULTI' } });
    story.pushed('IPHONE');
    const web = story.login('WEB');
    const { decidedBy, nextStatus } = explained(story);
    expect(decidedBy?.id).toBe(web);
    expect(nextStatus).toMatchObject({ sessionStatus: 'OFFLINE', status: 'PUSH_ONLINE' });
  });

  it('is, of those PUSH_ONLINE, the last to expire', () => {
    const story = new Story({ multiDevice: { mode: 'MULTI' } });
    story.pushed('IPHONE');
    const later_ = story.after(SECOND).pushed('ANDROID');
    expect(explained(story)).toMatchObject({
      decidedBy: { id: later_ },
      nextStatus: { at: addMs(story.now, PUSH_EXPIRY), reason: 'PUSH_EXPIRED', status: 'OFFLINE' },
    });
  });

  it('follows the policy as it is now in what it becomes, and what it was told in when', () => {
    const story = new Story();
    story.login('IPHONE');
    story.changePolicy({ platforms: [{ platform: 'IPHONE', canBePushOnline: false, heartbeatTimeoutMs: 500_000 }] });
    expect(explained(story).nextStatus).toMatchObject({ at: addMs(story.now, 400 * SECOND), status: 'OFFLINE' });
  });
});
