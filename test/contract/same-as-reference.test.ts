/** The same random commands done to SQLite and to the in-memory reference leave the same behind. */
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
import { login, run, runAll, user, wake } from './commands.ts';
import { MemoryStore } from './memory-store.ts';
import { VirtualClock } from './virtual-clock.ts';
import { PLATFORMS } from '../../src/core/enums.ts';

const newDirectory = temporaryDirectories();

const DAY = 86_400_000;
const RETENTION_MS = 3 * DAY;
const USERS = ['a', 'b', '～', '🦊'].map(user);
// Few names, so that sessions meet; a session id is never used twice, so its number is added when it is made.
const POLICY = applyPolicyChange(DEFAULT_POLICY, {
  multiDevice: { mode: 'TRIPLE' },
  platforms: [
    { platform: 'ANDROID', maxInstances: 2, disconnectGraceMs: 5_000 },
    { platform: 'WEB', maxInstances: 3 },
  ],
});

/** Commands name the nth session that their user ever had. */
type Op =
  | { readonly op: 'commands'; readonly of: readonly { readonly who: UserId; readonly what: What }[] }
  | { readonly op: 'pass'; readonly ms: number }
  | { readonly op: 'sleep'; readonly ms: number }
  | { readonly op: 'sweep' }
  | { readonly op: 'flush' }
  | { readonly op: 'purge' };

type What = (sessions: number) => Command;

const nth = (of: number, sessions: number) => parseSessionId(`session ${sessions === 0 ? 0 : of % sessions}`);

const what: fc.Arbitrary<What> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ platform: fc.constantFrom(...PLATFORMS), device: fc.nat(2) }).map(loggingIn) },
  fc
    .record({ of: fc.nat(5), appState: fc.constantFrom(null, 'FOREGROUND' as const, 'BACKGROUND' as const) })
    .map(({ of, appState }): What => (sessions) => ({
      type: 'heartbeat',
      sessionId: nth(of, sessions),
      appState,
      ipAddress: '192.0.2.9',
    })),
  fc.nat(5).map((of): What => (sessions) => ({
    type: 'attachSocket',
    sessionId: nth(of, sessions),
    socketId: asSocketId(`link ${of % 2}`),
    ipAddress: null,
  })),
  fc
    .nat(1)
    .map((of): What => () => ({ type: 'detachSocket', socketId: asSocketId(`link ${of}`), closedByServer: false })),
  fc.nat(5).map((of): What => (sessions) => ({ type: 'logout', sessionId: nth(of, sessions) })),
  fc
    .record({ of: fc.nat(5), text: fc.constantFrom('hi', '🦊', null) })
    .map(({ of, text }): What => (sessions) => ({ type: 'setCustomStatus', sessionId: nth(of, sessions), text })),
  fc
    .boolean()
    .map((revokeTokens): What => () => ({ type: 'endSessions', platform: null, sessionId: null, revokeTokens })),
);

function loggingIn({ platform, device }: { platform: (typeof PLATFORMS)[number]; device: number }): What {
  return (sessions) => login(`session ${sessions}`, platform, { deviceId: parseDeviceId(`device ${device}`) });
}

const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .array(fc.record({ who: fc.constantFrom(...USERS), what }), { minLength: 1, maxLength: 5 })
      .map((of): Op => ({ op: 'commands', of })),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(1, 999, 5_000, 30_000, 60_000, 400_000, DAY, 8 * DAY)
      .map((ms): Op => ({ op: 'pass', ms })),
  },
  fc.constantFrom(1_001, 60_000, DAY).map((ms): Op => ({ op: 'sleep', ms })),
  { weight: 2, arbitrary: fc.constant<Op>({ op: 'sweep' }) },
  fc.constant<Op>({ op: 'flush' }),
  fc.constant<Op>({ op: 'purge' }),
);

/** The log as every store must have it: where users are apart from each other, only the order per user counts. */
const history = async (store: PresenceStore): Promise<Record<string, unknown[]>> => {
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

it('SQLite answers what the reference answers, whatever is done to them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(op, { minLength: 5, maxLength: 40 }), async (ops) => {
      const clock = new VirtualClock();
      const options = {
        clock: clock.now,
        getProcessPauses: clock.sleeps,
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
              const commands = each.of.map(({ who, what: make }) => {
                const made = sessions.get(who) ?? 0;
                const command = make(made);
                if (command.type === 'login') sessions.set(who, made + 1);
                return { who, command };
              });
              const [expected, actual] = await Promise.all(
                both.map((store) => Promise.all(commands.map(({ who, command }) => run(store, who, command)))),
              );
              expect(actual).toEqual(expected);
              break;
            }
            case 'pass':
              clock.advance(each.ms);
              break;
            case 'sleep':
              clock.sleep(each.ms);
              break;
            case 'sweep': {
              const [expected = [], actual = []] = await Promise.all(both.map((store) => store.claimDueUsers(100)));
              const now = clock.now();
              const records = await reference.readUsers([...new Set([...expected, ...actual])]);
              for (const record of records) {
                const at = computeUserDeadline(record, clock.sleeps());
                // The grain: one may be later than the other, by so much.
                if (at === null || at > now) expect.unreachable(`${record.id} is handed out and not due`);
                if (at <= now - 1_200) expect(actual).toContain(record.id);
              }
              const ids = records.map(({ id }) => id);
              for (const failed of await Promise.all(both.map((store) => runAll(store, ids, wake)))) {
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
            history: await history(store),
            ended: await Promise.all(
              USERS.flatMap((id) =>
                Array.from({ length: sessions.get(id) ?? 0 }, (_, index) =>
                  store.findEndedSession(id, nth(index, index + 1)),
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
