/**
 * A few users, one policy and one clock, run twice: by the state machine and by the oracle. Each
 * command is compared in full, and whatever differs is reported with everything that led to it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Command, CommandOutcome } from '../../../../src/core/commands.ts';
import { computeUserDeadline, computeSessionDeadline } from '../../../../src/core/deadlines.ts';
import {
  addMs,
  asSocketId,
  toMillis,
  parseSessionId,
  parseUserId,
  type SocketId,
  type SessionId,
} from '../../../../src/core/ids.ts';
import { applyPolicyChange, DEFAULT_POLICY, type Policy, type PolicyChange } from '../../../../src/core/policy.ts';
import { restoreUserAfterRestart, applyCommand } from '../../../../src/core/state-machine.ts';
import { createUnknownUser, type UserChange, type UserRecord } from '../../../../src/core/records.ts';
import { NO_PAUSES, addPause, type ProcessPauses } from '../../../../src/core/process-pauses.ts';
import { deepFreeze } from './freeze.ts';
import { Chronicle } from './invariants.ts';
import { hold, same } from './must.ts';
import { ORACLE_DEFAULT, oraclePolicyAfter } from './oracle-policy.ts';
import { causesOf, firstDate, type OracleSession } from './oracle-session.ts';
import { OracleUser } from './oracle.ts';

export const NAMES = ['alice', 'bob', '凛 𝒳'] as const;

export interface Person {
  record: UserRecord;
  oracle: OracleUser;
  readonly chronicle: Chronicle;
  /** Every session and every link she ever had: most of them are stale. */
  readonly sessionsEver: SessionId[];
  readonly linksEver: SocketId[];
}

const START = toMillis(1_700_000_000_000);

export class ModelWorld {
  now = START;
  policy: Policy = deepFreeze(DEFAULT_POLICY);
  sleeps: ProcessPauses = NO_PAUSES;
  oraclePolicy = ORACLE_DEFAULT;
  readonly people: readonly Person[];
  readonly #log: string[] = [];
  #made = 0;

  constructor(versionFloor: number) {
    this.people = NAMES.map((name) => ({
      record: deepFreeze(createUnknownUser(parseUserId(name), versionFloor)),
      oracle: new OracleUser(parseUserId(name), versionFloor),
      chronicle: new Chronicle(),
      sessionsEver: [],
      linksEver: [],
    }));
  }

  /** How often what was told: a model test that never meets a rule proves nothing of it. */
  readonly met = new Map<string, number>();

  newSession = (): SessionId => parseSessionId(`s${++this.#made}`);
  newLink = (): SocketId => asSocketId(`l${++this.#made}`);
  newName = (): string => `made-${++this.#made}`;

  passes(ms: number): void {
    this.now = addMs(this.now, ms);
  }

  do(person: Person, command: Command): void {
    this.#reported(`${person.record.id}: ${JSON.stringify(command)}`, () => this.#compare(person, command));
  }

  changePolicy(change: PolicyChange): void {
    this.#reported(`policy: ${JSON.stringify(change)}`, () => {
      this.policy = deepFreeze(applyPolicyChange(this.policy, deepFreeze(change)));
      this.oraclePolicy = oraclePolicyAfter(this.oraclePolicy, change);
    });
  }

  restart(): void {
    this.#reported('the server restarts', () => {
      for (const person of this.people) {
        person.record = deepFreeze(restoreUserAfterRestart(person.record, this.now));
        person.oracle.restart(this.now);
        this.#agree(person);
      }
    });
  }

  /** Its process stands still for so long, and wakes up with all that it knew. */
  sleep(ms: number): void {
    this.#reported(`the server sleeps for ${ms} ms`, () => {
      const from = this.now;
      this.passes(ms);
      this.sleeps = deepFreeze(addPause(this.sleeps, { from, until: this.now }));
      for (const person of this.people) {
        person.oracle.sleep(ms);
        this.#agree(person);
      }
    });
  }

  /** As a store does with an OFFLINE user whose last event is older than the retention. */
  forget(person: Person): void {
    if (person.record.sessions.length > 0) return;
    this.#reported(`${person.record.id} is forgotten`, () => {
      const floor = Math.max(person.record.version, person.record.versionFloor);
      person.record = deepFreeze(createUnknownUser(person.record.id, floor));
      person.oracle = new OracleUser(person.record.id, floor);
      person.chronicle.forgotten();
    });
  }

  #compare(person: Person, command: Command): void {
    const { record: before, oracle } = person;
    const outcome = deepFreeze(applyCommand(before, deepFreeze(command), this.policy, this.now, this.sleeps));
    const verdict = oracle.verdict(command, this.oraclePolicy, this.now, outcome.changes);
    person.record = outcome.user;
    for (const { reason, sessionStatus } of outcome.changes.flatMap(({ events }) => events)) {
      const what = `${reason} ${sessionStatus}`;
      this.met.set(what, (this.met.get(what) ?? 0) + 1);
    }

    same(outcome.changes.map(comparable), verdict.changes.map(comparable), 'told is exactly what happened');
    same(outcome.session?.id ?? null, verdict.session, 'the session the command was about');
    same(outcome.mustBeDurable, verdict.durable, 'durable is what must not be lost');
    this.#agree(person);
    person.chronicle.note(before, command, outcome);
    checkNothing(before, command, outcome);
    hold(
      isDeepStrictEqual(applyCommand(before, command, this.policy, this.now, this.sleeps), outcome),
      'the same step has the same outcome',
    );
  }

  /** The record says what the oracle knows, its deadlines included. */
  #agree({ record, oracle }: Person): void {
    const { status, version, changedAt, reason, lastSeenAt, customStatus, tokensRevokedBefore } = record;
    same(
      { status, version, changedAt, reason, lastSeenAt, customStatus, tokensRevokedBefore },
      {
        status: oracle.status,
        version: oracle.version,
        changedAt: oracle.changedAt,
        reason: oracle.reason,
        lastSeenAt: oracle.seenAt,
        customStatus: oracle.text,
        tokensRevokedBefore: oracle.revokedBefore,
      },
      'the record of the user',
    );
    const facts = record.sessions.map((session) => factsOf(session, this.sleeps));
    same(facts, oracle.live.map(expectedFacts), 'the records of the sessions');
    const dates = oracle.live.map(firstDate);
    const first = dates.length === 0 ? null : Math.min(...dates);
    same(computeUserDeadline(record, this.sleeps), first, 'when the user must be looked at next');
    record.sessions.forEach((session, index) => {
      const { reason: cause } = computeSessionDeadline(session, this.sleeps);
      const expected = oracle.live[index];
      hold(expected !== undefined && causesOf(expected).includes(cause), `${cause} is why it will end`);
    });
  }

  #reported(what: string, act: () => void): void {
    this.#log.push(`${this.now - START} ms  ${what}`);
    try {
      act();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`${message}\nafter\n  ${this.#log.join('\n  ')}`, { cause: error });
    }
  }
}

/** What no rule orders (the kicked and replaced behind their LOGIN, the links of one change) is compared in any order. */
const comparable = ({ events, statusChange, lostSockets: lostLinks }: UserChange) => ({
  events: [...events.slice(0, 1), ...events.slice(1).toSorted((one, other) => compare(one.sessionId, other.sessionId))],
  statusChange,
  lostLinks: lostLinks.toSorted((one, other) => compare(one.socketId, other.socketId)),
});

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

const factsOf = (session: UserRecord['sessions'][number], sleeps: ProcessPauses) => ({
  id: session.id,
  platform: session.platform,
  deviceId: session.deviceId,
  status: session.status,
  appState: session.appState,
  links: session.socketIds.toSorted(),
  timings: { ...session.timings },
  loggedInAt: session.loggedInAt,
  lastSeenAt: session.lastSeenAt,
  ipAddress: session.ipAddress,
  login: [session.appVersion, session.osVersion, session.tokenHash, session.watchScope],
  until: computeSessionDeadline(session, sleeps).at as number,
});

const expectedFacts = (session: OracleSession): ReturnType<typeof factsOf> => ({
  id: session.id,
  platform: session.platform,
  deviceId: session.deviceId,
  status: session.pushEnds === null ? 'ONLINE' : 'PUSH_ONLINE',
  appState: session.appState,
  links: session.links.toSorted(),
  timings: {
    heartbeatIntervalMs: session.told.every,
    heartbeatTimeoutMs: session.told.silent,
    backgroundTimeoutMs: session.told.background,
    disconnectGraceMs: session.told.grace,
  },
  loggedInAt: session.loggedInAt,
  lastSeenAt: session.seenAt,
  ipAddress: session.ipAddress,
  login: [session.login.appVersion, session.login.osVersion, session.login.tokenHash, session.login.watchScope],
  until: firstDate(session),
});

/** A link or session that is not there any more costs nothing at all, not even a new object. */
const checkNothing = (before: UserRecord, command: Command, { session, changes, user }: CommandOutcome): void => {
  const stale = session === null && command.type !== 'expire' && command.type !== 'endSessions';
  if (stale && changes.length === 0) hold(user === before, 'what is stale changes nothing');
  if (command.type === 'expire' && changes.length === 0) hold(user === before, 'a wake too early changes nothing');
};
