/** Random commands have the same results in SQLite and in the in-memory reference. */
import fc from 'fast-check';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { LoggedEvent, PresenceStore } from '../../src/app/ports/presence-store.ts';
import type { Command } from '../../src/core/commands.ts';
import { computeUserDeadline } from '../../src/core/deadlines.ts';
import { parseDeviceId, asSocketId, parseSessionId, type Cursor, type UserId } from '../../src/core/ids.ts';
import { applyPolicyChange, DEFAULT_POLICY } from '../../src/core/policy.ts';
import { diagnoseDatabase } from '../../src/storage/sqlite/offline/doctor/doctor.ts';
import { openQuietly, temporaryDirectories } from '../integration/storage/support/sqlite-files.ts';
import { login, runCommand, runCommandForAll, user, expire } from './commands.ts';
import { MemoryStore } from './memory-store.ts';
import { VirtualClock } from './virtual-clock.ts';
import { PLATFORMS } from '../../src/core/enums.ts';

const newDirectory = temporaryDirectories();

const DAY = 86_400_000;
const RETENTION_MS = 3 * DAY;
// Few users and devices, so that sessions conflict. A session id is never reused: it contains the login's number.
const USERS = ['a', 'b', '～', '🦊'].map(user);
const POLICY = applyPolicyChange(DEFAULT_POLICY, {
  multiDevice: { mode: 'TRIPLE' },
  platforms: [
    { platform: 'ANDROID', maxInstances: 2, disconnectGraceMs: 5_000 },
    { platform: 'WEB', maxInstances: 3 },
  ],
});

/** A command names a session by its number among all sessions that its user has had. */
type Op =
  | {
      readonly op: 'commands';
      readonly of: readonly { readonly userId: UserId; readonly createCommand: CreateCommand }[];
    }
  | { readonly op: 'pass'; readonly ms: number }
  | { readonly op: 'pause'; readonly ms: number }
  | { readonly op: 'sweep' }
  | { readonly op: 'flush' }
  | { readonly op: 'purge' };

type CreateCommand = (sessions: number) => Command;

const nthSession = (of: number, sessions: number) => parseSessionId(`session ${sessions === 0 ? 0 : of % sessions}`);

const createCommand: fc.Arbitrary<CreateCommand> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ platform: fc.constantFrom(...PLATFORMS), device: fc.nat(2) }).map(createLogin) },
  fc
    .record({ of: fc.nat(5), appState: fc.constantFrom(null, 'FOREGROUND' as const, 'BACKGROUND' as const) })
    .map(({ of, appState }): CreateCommand => (sessions) => ({
      type: 'heartbeat',
      sessionId: nthSession(of, sessions),
      appState,
      ipAddress: '192.0.2.9',
    })),
  fc.nat(5).map((of): CreateCommand => (sessions) => ({
    type: 'attachSocket',
    sessionId: nthSession(of, sessions),
    socketId: asSocketId(`link ${of % 2}`),
    ipAddress: null,
  })),
  fc.nat(1).map((of): CreateCommand => () => ({
    type: 'detachSocket',
    socketId: asSocketId(`link ${of}`),
    closedByServer: false,
  })),
  fc.nat(5).map((of): CreateCommand => (sessions) => ({ type: 'logout', sessionId: nthSession(of, sessions) })),
  fc
    .record({ of: fc.nat(5), text: fc.constantFrom('hi', '🦊', null) })
    .map(({ of, text }): CreateCommand => (sessions) => ({
      type: 'setCustomStatus',
      sessionId: nthSession(of, sessions),
      text,
    })),
  fc.boolean().map((revokeTokens): CreateCommand => () => ({
    type: 'endSessions',
    platform: null,
    sessionId: null,
    revokeTokens,
  })),
);

function createLogin({ platform, device }: { platform: (typeof PLATFORMS)[number]; device: number }): CreateCommand {
  return (sessions) => login(`session ${sessions}`, platform, { deviceId: parseDeviceId(`device ${device}`) });
}

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .array(fc.record({ userId: fc.constantFrom(...USERS), createCommand }), { minLength: 1, maxLength: 5 })
      .map((of): Op => ({ op: 'commands', of })),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(1, 999, 5_000, 30_000, 60_000, 400_000, DAY, 8 * DAY)
      .map((ms): Op => ({ op: 'pass', ms })),
  },
  fc.constantFrom(1_001, 60_000, DAY).map((ms): Op => ({ op: 'pause', ms })),
  { weight: 2, arbitrary: fc.constant<Op>({ op: 'sweep' }) },
  fc.constant<Op>({ op: 'flush' }),
  fc.constant<Op>({ op: 'purge' }),
);

/** The parts of the log that all stores must agree on: events of different users may be in any order. */
const readHistory = async (store: PresenceStore): Promise<Record<string, unknown[]>> => {
  const events: LoggedEvent[] = [];
  for (let after: Cursor | null = null; ;) {
    const page = await store.eventLog.readEvents({ after, limit: 7, wholeChanges: true });
    events.push(...page.events);
    after = page.events.at(-1)?.cursor ?? null;
    if (!page.hasMore) break;
  }
  const changes = new Map<string, number>();
  return Object.fromEntries(
    USERS.map((id) => {
      changes.clear();
      const own = events.filter((event) => event.userId === id);
      return [
        id,
        own.map(({ cursor: _, changeId, ...event }) => {
          if (!changes.has(changeId)) changes.set(changeId, changes.size);
          return { ...event, change: changes.get(changeId) };
        }),
      ];
    }),
  );
};

it('returns the same results from SQLite and the reference for random commands', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 5, maxLength: 40 }), async (ops) => {
      const clock = new VirtualClock();
      const options = {
        clock: clock.now,
        getProcessPauses: clock.getProcessPauses,
        policySeed: POLICY,
        eventRetentionMs: RETENTION_MS,
      };
      const reference = new MemoryStore(options);
      const path = join(newDirectory(), 'presence.db');
      const sqlite = await openQuietly(path, options);
      const both = [reference, sqlite] as const;
      const sessions = new Map<UserId, number>();
      try {
        for (const each of ops) {
          switch (each.op) {
            case 'commands': {
              const commands = each.of.map(({ userId, createCommand: make }) => {
                const made = sessions.get(userId) ?? 0;
                const command = make(made);
                if (command.type === 'login') sessions.set(userId, made + 1);
                return { userId, command };
              });
              const [expected, actual] = await Promise.all(
                both.map((store) =>
                  Promise.all(commands.map(({ userId, command }) => runCommand(store, userId, command))),
                ),
              );
              expect(actual).toEqual(expected);
              break;
            }
            case 'pass':
              clock.advance(each.ms);
              break;
            case 'pause':
              clock.pause(each.ms);
              break;
            case 'sweep': {
              const [expected = [], actual = []] = await Promise.all(both.map((store) => store.claimDueUsers(100)));
              const now = clock.now();
              const records = await reference.readUsers([...new Set([...expected, ...actual])]);
              for (const record of records) {
                const at = computeUserDeadline(record, clock.getProcessPauses());
                // The stores may detect a deadline at different times, within the timer's resolution.
                if (at === null || at > now) expect.unreachable(`${record.id} is claimed but not due`);
                if (at <= now - 1_200) expect(actual).toContain(record.id);
              }
              const ids = records.map(({ id }) => id);
              for (const failed of await Promise.all(both.map((store) => runCommandForAll(store, ids, expire)))) {
                expect(failed).toEqual([]);
              }
              break;
            }
            case 'flush':
              await sqlite.flushLastSeen();
              break;
            case 'purge':
              await Promise.all(both.map((store) => store.purgeExpiredData()));
              break;
          }
          const [expected, actual] = await Promise.all(both.map((store) => store.readUsers(USERS)));
          expect(actual).toEqual(expected);
        }
        const [expected, actual] = await Promise.all(
          both.map(async (store) => ({
            counts: store.getPresenceCounts(),
            online: await store.listOnlineUsers({ after: null, limit: 100 }),
            android: await store.listOnlineUsers({ after: null, limit: 2, platform: 'ANDROID' }),
            pushOnline: await store.listOnlineUsers({ after: USERS[0] ?? null, limit: 1, status: 'PUSH_ONLINE' }),
            readHistory: await readHistory(store),
            ended: await Promise.all(
              USERS.flatMap((id) =>
                Array.from({ length: sessions.get(id) ?? 0 }, (_, index) =>
                  store.findEndedSession(id, nthSession(index, index + 1)),
                ),
              ),
            ),
          })),
        );
        expect(actual).toEqual(expected);
        expect(diagnoseDatabase(path, false).findings).toEqual([]);
      } finally {
        await Promise.all(both.map((store) => store.close()));
      }
    }),
    { numRuns: 30 },
  );
}, 120_000);
