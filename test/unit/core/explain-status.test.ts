/** Predictions come true: at the exact time, with the predicted reason. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { computeUserDeadline } from '../../../src/core/deadlines.ts';
import { explainStatus, type StatusExplanation } from '../../../src/core/explain-status.ts';
import { addMs, type Millis } from '../../../src/core/ids.ts';
import type { Policy } from '../../../src/core/policy.ts';
import { applyCommand } from '../../../src/core/state-machine.ts';
import type { PresenceEvent, UserRecord } from '../../../src/core/records.ts';
import { NO_PAUSES, type ProcessPauses } from '../../../src/core/process-pauses.ts';
import { UserScenario } from './harness.ts';
import { commands } from './model/commands.ts';
import { policyChange } from './model/policy-changes.ts';
import { ModelWorld } from './model/model-world.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

const RUNS = process.env.STRYKER_MUTATOR_WORKER === undefined ? 600 : 100;

interface Rules {
  readonly policy: Policy;
  readonly pauses: ProcessPauses;
}

interface ExpiryResult {
  readonly user: UserRecord;
  readonly events: readonly PresenceEvent[];
}

/** Applies all deadlines until `end` without activity. A deadline before `start` is applied at `start`. */
const expireUntil = (user: UserRecord, { policy, pauses }: Rules, start: Millis, end: Millis): ExpiryResult => {
  const events: PresenceEvent[] = [];
  for (let now = start; now <= end;) {
    const outcome = applyCommand(user, { type: 'expire' }, policy, now, pauses);
    user = outcome.user;
    events.push(...outcome.changes.flatMap((change) => change.events));
    const due = computeUserDeadline(user, pauses);
    if (due === null || due <= now) break;
    now = due;
  }
  return { user, events };
};

const before = (moment: Millis): Millis => addMs(moment, -1);

/** The kinds of predictions that occurred. The property must cover all of them. */
const met = new Set<string>();

const comesTrue = (user: UserRecord, now: Millis, rules: Rules): void => {
  const { policy, pauses } = rules;
  const { sessions, next, nextStatus, decidedBy } = explainStatus(user, policy, now, pauses);
  expect(sessions.map(({ session }) => session)).toEqual(user.sessions);
  expect(next === null).toBe(sessions.length === 0);
  expect(nextStatus === null).toBe(user.status === 'OFFLINE');
  expect(decidedBy?.status ?? 'OFFLINE').toBe(user.status);
  if (next === null || nextStatus === null) return;

  expect(next.at).toBe(computeUserDeadline(user, pauses));
  if (next.at > now) expect(applyCommand(user, { type: 'expire' }, policy, before(next.at), pauses).user).toBe(user);
  for (const { session, next: own } of sessions) {
    const happens = own.at > now ? own.at : now;
    const isOf = ({ sessionId }: PresenceEvent): boolean => sessionId === session.id;
    if (own.at > now) expect(expireUntil(user, rules, now, before(own.at)).events.filter(isOf)).toEqual([]);
    expect(expireUntil(user, rules, now, happens).events.find(isOf)).toMatchObject({
      reason: own.reason,
      sessionStatus: own.sessionStatus,
      occurredAt: happens,
    });
    met.add(`${own.reason} ${own.sessionStatus}${own.at > now ? '' : ' overdue'}`);
  }

  expect(nextStatus.sessionId).toBe(decidedBy?.id);
  const changes = nextStatus.at > now ? nextStatus.at : now;
  if (nextStatus.at > now) expect(expireUntil(user, rules, now, before(changes)).user.status).toBe(user.status);
  const { user: after, events } = expireUntil(user, rules, now, changes);
  expect(after).toMatchObject({ status: nextStatus.status, changedAt: changes });
  expect(events.find(({ version }) => version > user.version)).toMatchObject({
    sessionId: nextStatus.sessionId,
    reason: nextStatus.reason,
    sessionStatus: nextStatus.sessionStatus,
  });
  if (user.sessions.length > 1) met.add('of several');
  if (next.at !== computeUserDeadline(user, NO_PAUSES)) met.add('after a pause');
};

describe('predictions for random histories', () => {
  it(`come true (${RUNS} histories)`, { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(policyChange, commands, fc.constantFrom(0, 0, 1, 90 * SECOND, 8 * DAY), (change, acts, late) => {
        const world = new ModelWorld(0);
        world.changePolicy(change);
        const [alice] = world.users;
        for (const act of acts) {
          act.run(world);
          if (alice !== undefined) comesTrue(alice.record, world.now, world);
        }
        world.advance(late);
        for (const { record } of world.users) comesTrue(record, world.now, world);
      }),
      { numRuns: RUNS },
    );
  });

  it('include every kind of prediction', () => {
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
    expect([...met]).toEqual(expect.arrayContaining([...kinds, ...overdue, 'of several', 'after a pause']));
  });
});

describe('decidedBy', () => {
  const explained = (story: UserScenario): StatusExplanation => explainStatus(story.user, story.policy, story.now);

  it('is null for a user who is OFFLINE or unknown', () => {
    expect(explained(new UserScenario())).toMatchObject({
      decidedBy: null,
      sessions: [],
      next: null,
      nextStatus: null,
    });
  });

  it('is the session that keeps the status the longest, for any order of logins', () => {
    const story = new UserScenario({ multiDevice: { mode: 'MULTI' } });
    const phone = story.login('IPHONE');
    const web = story.login('WEB');
    const { decidedBy, next, nextStatus } = explained(story);
    expect(decidedBy?.id).toBe(phone);
    expect(next).toMatchObject({ sessionId: web, reason: 'HEARTBEAT_TIMEOUT', sessionStatus: 'OFFLINE' });
    expect(nextStatus).toMatchObject({ sessionId: phone, status: 'PUSH_ONLINE', at: addMs(story.now, 400 * SECOND) });
  });

  it('is not a PUSH_ONLINE session while another one is ONLINE, even if it expires later', () => {
    const story = new UserScenario({ multiDevice: { mode: 'MULTI' } });
    story.loginPushOnline('IPHONE');
    const web = story.login('WEB');
    const { decidedBy, nextStatus } = explained(story);
    expect(decidedBy?.id).toBe(web);
    expect(nextStatus).toMatchObject({ sessionStatus: 'OFFLINE', status: 'PUSH_ONLINE' });
  });

  it('is the last session to expire if all are PUSH_ONLINE', () => {
    const story = new UserScenario({ multiDevice: { mode: 'MULTI' } });
    story.loginPushOnline('IPHONE');
    const later_ = story.after(SECOND).loginPushOnline('ANDROID');
    expect(explained(story)).toMatchObject({
      decidedBy: { id: later_ },
      nextStatus: { at: addMs(story.now, PUSH_EXPIRY), reason: 'PUSH_EXPIRED', status: 'OFFLINE' },
    });
  });

  it('predicts the new status by the current policy, and the time by the timings of the session', () => {
    const story = new UserScenario();
    story.login('IPHONE');
    story.changePolicy({ platforms: [{ platform: 'IPHONE', canBePushOnline: false, heartbeatTimeoutMs: 500_000 }] });
    expect(explained(story).nextStatus).toMatchObject({ at: addMs(story.now, 400 * SECOND), status: 'OFFLINE' });
  });
});
