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
import { InvariantChecker } from './invariants.ts';
import { assertRule, assertEqual } from './must.ts';
import { ORACLE_DEFAULT, applyOraclePolicyChange } from './oracle-policy.ts';
import { reasonsAtDeadline, firstDeadline, type OracleSession } from './oracle-session.ts';
import { OracleUser } from './oracle.ts';

export const NAMES = ['alice', 'bob', '凛 𝒳'] as const;

export interface ModelUser {
  record: UserRecord;
  oracle: OracleUser;
  readonly invariants: InvariantChecker;
  /** Every session and every socket the user has ever had. Most of them have ended. */
  readonly allSessionIds: SessionId[];
  readonly allSocketIds: SocketId[];
}

const START = toMillis(1_700_000_000_000);

export class ModelWorld {
  now = START;
  policy: Policy = deepFreeze(DEFAULT_POLICY);
  pauses: ProcessPauses = NO_PAUSES;
  oraclePolicy = ORACLE_DEFAULT;
  readonly users: readonly ModelUser[];
  readonly #log: string[] = [];
  #idCount = 0;

  constructor(versionFloor: number) {
    this.users = NAMES.map((name) => ({
      record: deepFreeze(createUnknownUser(parseUserId(name), versionFloor)),
      oracle: new OracleUser(parseUserId(name), versionFloor),
      invariants: new InvariantChecker(),
      allSessionIds: [],
      allSocketIds: [],
    }));
  }

  /** How often each kind of event occurred. The model test must cover all of them. */
  readonly transitionCounts = new Map<string, number>();

  newSessionId = (): SessionId => parseSessionId(`s${++this.#idCount}`);
  newSocketId = (): SocketId => asSocketId(`l${++this.#idCount}`);
  newName = (): string => `made-${++this.#idCount}`;

  advance(ms: number): void {
    this.now = addMs(this.now, ms);
  }

  apply(person: ModelUser, command: Command): void {
    this.#withLog(`${person.record.id}: ${JSON.stringify(command)}`, () => this.#applyAndCompare(person, command));
  }

  changePolicy(change: PolicyChange): void {
    this.#withLog(`policy: ${JSON.stringify(change)}`, () => {
      this.policy = deepFreeze(applyPolicyChange(this.policy, deepFreeze(change)));
      this.oraclePolicy = applyOraclePolicyChange(this.oraclePolicy, change);
    });
  }

  restart(): void {
    this.#withLog('the server restarts', () => {
      for (const person of this.users) {
        person.record = deepFreeze(restoreUserAfterRestart(person.record, this.now));
        person.oracle.restart(this.now);
        this.#compareRecords(person);
      }
    });
  }

  /** Advances the time as one process pause. The state is kept. */
  pause(ms: number): void {
    this.#withLog(`the server is paused for ${ms} ms`, () => {
      const from = this.now;
      this.advance(ms);
      this.pauses = deepFreeze(addPause(this.pauses, { from, until: this.now }));
      for (const person of this.users) {
        person.oracle.extendTimeouts(ms);
        this.#compareRecords(person);
      }
    });
  }

  /** Removes the record, as a store does for an OFFLINE user whose last event is older than the retention. */
  removeRecord(person: ModelUser): void {
    if (person.record.sessions.length > 0) return;
    this.#withLog(`${person.record.id} is removed`, () => {
      const floor = Math.max(person.record.version, person.record.versionFloor);
      person.record = deepFreeze(createUnknownUser(person.record.id, floor));
      person.oracle = new OracleUser(person.record.id, floor);
      person.invariants.onRecordRemoved();
    });
  }

  #applyAndCompare(person: ModelUser, command: Command): void {
    const { record: before, oracle } = person;
    const outcome = deepFreeze(applyCommand(before, deepFreeze(command), this.policy, this.now, this.pauses));
    const expected = oracle.expectOutcome(command, this.oraclePolicy, this.now, outcome.changes);
    person.record = outcome.user;
    for (const { reason, sessionStatus } of outcome.changes.flatMap(({ events }) => events)) {
      const what = `${reason} ${sessionStatus}`;
      this.transitionCounts.set(what, (this.transitionCounts.get(what) ?? 0) + 1);
    }

    assertEqual(outcome.changes.map(comparable), expected.changes.map(comparable), 'the changes are the expected ones');
    assertEqual(outcome.session?.id ?? null, expected.session, 'the session of the outcome');
    assertEqual(outcome.mustBeDurable, expected.mustBeDurable, 'mustBeDurable is set for what must not be lost');
    this.#compareRecords(person);
    person.invariants.checkOutcome(before, command, outcome);
    checkUnchangedRecord(before, command, outcome);
    assertRule(
      isDeepStrictEqual(applyCommand(before, command, this.policy, this.now, this.pauses), outcome),
      'the same command has the same outcome',
    );
  }

  /** Compares the record and its deadlines with the oracle. */
  #compareRecords({ record, oracle }: ModelUser): void {
    const { status, version, changedAt, reason, lastSeenAt, customStatus, tokensRevokedBefore } = record;
    assertEqual(
      { status, version, changedAt, reason, lastSeenAt, customStatus, tokensRevokedBefore },
      {
        status: oracle.status,
        version: oracle.version,
        changedAt: oracle.changedAt,
        reason: oracle.reason,
        lastSeenAt: oracle.lastSeenAt,
        customStatus: oracle.customStatus,
        tokensRevokedBefore: oracle.tokensRevokedBefore,
      },
      'the record of the user',
    );
    const facts = record.sessions.map((session) => factsOf(session, this.pauses));
    assertEqual(facts, oracle.sessions.map(expectedFacts), 'the records of the sessions');
    const dates = oracle.sessions.map(firstDeadline);
    const first = dates.length === 0 ? null : Math.min(...dates);
    assertEqual(computeUserDeadline(record, this.pauses), first, 'the deadline of the user');
    record.sessions.forEach((session, index) => {
      const { reason: cause } = computeSessionDeadline(session, this.pauses);
      const expected = oracle.sessions[index];
      assertRule(
        expected !== undefined && reasonsAtDeadline(expected).includes(cause),
        `${cause} is an expected reason of the next timeout`,
      );
    });
  }

  #withLog(what: string, act: () => void): void {
    this.#log.push(`${this.now - START} ms  ${what}`);
    try {
      act();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(`${message}\nafter\n  ${this.#log.join('\n  ')}`, { cause: error });
    }
  }
}

/** Sorts what has no defined order: the events after a LOGIN, and the lost sockets of one change. */
const comparable = ({ events, statusChange, lostSockets: lostLinks }: UserChange) => ({
  events: [...events.slice(0, 1), ...events.slice(1).toSorted((one, other) => compare(one.sessionId, other.sessionId))],
  statusChange,
  lostLinks: lostLinks.toSorted((one, other) => compare(one.socketId, other.socketId)),
});

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0);

const factsOf = (session: UserRecord['sessions'][number], pauses: ProcessPauses) => ({
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
  until: computeSessionDeadline(session, pauses).at as number,
});

const expectedFacts = (session: OracleSession): ReturnType<typeof factsOf> => ({
  id: session.id,
  platform: session.platform,
  deviceId: session.deviceId,
  status: session.pushExpiresAt === null ? 'ONLINE' : 'PUSH_ONLINE',
  appState: session.appState,
  links: session.socketIds.toSorted(),
  timings: {
    heartbeatIntervalMs: session.row.heartbeatMs,
    heartbeatTimeoutMs: session.row.timeoutMs,
    backgroundTimeoutMs: session.row.backgroundMs,
    disconnectGraceMs: session.row.graceMs,
  },
  loggedInAt: session.loggedInAt,
  lastSeenAt: session.lastSeenAt,
  ipAddress: session.ipAddress,
  login: [session.login.appVersion, session.login.osVersion, session.login.tokenHash, session.login.watchScope],
  until: firstDeadline(session),
});

/** A command for an unknown socket or session must return the same record object. */
const checkUnchangedRecord = (
  before: UserRecord,
  command: Command,
  { session, changes, user }: CommandOutcome,
): void => {
  const stale = session === null && command.type !== 'expire' && command.type !== 'endSessions';
  if (stale && changes.length === 0) assertRule(user === before, 'a command for an unknown session changes nothing');
  if (command.type === 'expire' && changes.length === 0)
    assertRule(user === before, 'an expire command before the deadline changes nothing');
};
