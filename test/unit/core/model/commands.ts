/**
 * Random commands at random times. They name sessions and sockets by age, because the existing ones are known only while
 * a sequence runs. A shrunk sequence therefore stays meaningful.
 */
import fc from 'fast-check';
import type { Command } from '../../../../src/core/commands.ts';
import { parseDeviceId, parseSessionId, type SocketId, type SessionId } from '../../../../src/core/ids.ts';
import type { PolicyChange } from '../../../../src/core/policy.ts';
import { ALL, DAY, MINUTE } from '../tables.ts';
import { moment, type Moment } from './moments.ts';
import { policyChange } from './policy-changes.ts';
import { NAMES, type ModelUser, type ModelWorld } from './model-world.ts';

/** One step of a sequence: it advances the time, then it acts. */
export class ModelStep implements fc.WithToStringMethod {
  readonly #moment: Moment;
  readonly #who: number;
  readonly #text: string;
  readonly #act: (world: ModelWorld, user: ModelUser) => void;

  constructor(when: Moment, who: number, text: string, act: (world: ModelWorld, user: ModelUser) => void) {
    this.#moment = when;
    this.#who = who;
    this.#text = text;
    this.#act = act;
  }

  run(world: ModelWorld): void {
    const user = world.users[this.#who];
    if (!user) return;
    world.advance(this.#moment.wait(world, user));
    this.#act(world, user);
  }

  [fc.toStringMethod](): string {
    return this.toString();
  }

  toString(): string {
    return `${this.#moment.text}${NAMES[this.#who] ?? ''} ${this.#text}`;
  }
}

// Most steps concern one user, so that long histories occur; the others show that they are not affected.
const who = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(NAMES.length - 1) });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null });

/** A position counted from the newest: among the live ones, or among all that ever existed. */
interface Ref {
  readonly of: 'live' | 'ever';
  readonly ago: number;
}
const ref: fc.Arbitrary<Ref> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ of: fc.constant('live' as const), ago: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ of: fc.constant('ever' as const), ago: fc.nat(9) }) },
);
const pick = <T>({ of, ago }: Ref, live: readonly T[], ever: readonly T[]): T | undefined => {
  const from = of === 'live' ? live : ever;
  return from[Math.max(0, from.length - 1 - ago)];
};
const sessionOf = ({ record, allSessionIds: sessionsEver }: ModelUser, which: Ref): SessionId =>
  pick(
    which,
    record.sessions.map(({ id }) => id),
    sessionsEver,
  ) ?? parseSessionId('never-made');
const linkOf = ({ record, allSocketIds: linksEver }: ModelUser, which: Ref): SocketId | undefined =>
  pick(
    which,
    record.sessions.flatMap(({ socketIds: socketIds }) => socketIds),
    linksEver,
  );

const formatStep = (name: string, given: unknown): string =>
  given === null ? name : `${name} ${JSON.stringify(given)}`;

const commandStep = <Args>(
  name: string,
  args: fc.Arbitrary<Args>,
  make: (world: ModelWorld, user: ModelUser, args: Args) => Command,
): fc.Arbitrary<ModelStep> =>
  fc.tuple(moment, who, args).map(([when, index, given]) => {
    const text = formatStep(name, given);
    return new ModelStep(when, index, text, (world, user) => world.apply(user, make(world, user, given)));
  });

const login = commandStep(
  'login',
  fc.record({
    platform: fc.constantFrom(...ALL),
    device: maybe(fc.constantFrom('d1', 'd2')),
    // A new socket, or one that is attached to a session.
    over: fc.oneof(fc.constant('http' as const), fc.constant('a new socket' as const), fc.nat({ max: 2 })),
    ip: maybe(fc.constantFrom('192.0.2.1', '192.0.2.2')),
  }),
  (world, user, { platform, device, over, ip }) => {
    const held = user.record.sessions.flatMap(({ socketIds: socketIds }) => socketIds);
    const used = typeof over === 'number' ? held[held.length - 1 - over] : undefined;
    const socketId = over === 'http' ? null : (used ?? world.newSocketId());
    const id = world.newSessionId();
    user.allSessionIds.push(id);
    if (socketId !== null && used === undefined) user.allSocketIds.push(socketId);
    return {
      type: 'login',
      sessionId: id,
      platform,
      deviceId: parseDeviceId(device ?? world.newName()),
      tokenHash: world.newName(),
      appVersion: ip,
      osVersion: device,
      ipAddress: ip,
      watchScope: device === null ? '*' : [],
      socketId: socketId,
    };
  },
);

const heartbeat = commandStep(
  'heartbeat',
  fc.record({
    session: ref,
    appState: fc.constantFrom('BACKGROUND', 'FOREGROUND', 'BACKGROUND', null),
    ip: maybe(fc.constant('192.0.2.3')),
  }),
  (_, user, { session, appState, ip }) => ({
    type: 'heartbeat',
    sessionId: sessionOf(user, session),
    appState,
    ipAddress: ip,
  }),
);

const activity = commandStep(
  'is active',
  fc.record({ session: ref, socketId: maybe(ref), ip: maybe(fc.constant('192.0.2.4')) }),
  (_, user, { session, socketId, ip }) => ({
    type: 'activity',
    sessionId: sessionOf(user, session),
    socketId: socketId === null ? null : (linkOf(user, socketId) ?? null),
    ipAddress: ip,
  }),
);

const attach = commandStep(
  'attaches',
  fc.record({ session: ref, ip: maybe(fc.constant('192.0.2.5')) }),
  (world, user, { session, ip }) => {
    const socketId = world.newSocketId();
    user.allSocketIds.push(socketId);
    return { type: 'attachSocket', sessionId: sessionOf(user, session), socketId: socketId, ipAddress: ip };
  },
);

const detach = commandStep(
  'closes a socket',
  fc.record({ socketId: ref, byServer: fc.boolean() }),
  (world, user, { socketId, byServer }) => ({
    type: 'detachSocket',
    socketId: linkOf(user, socketId) ?? world.newSocketId(),
    closedByServer: byServer,
  }),
);

const logout = commandStep('logs out', fc.record({ session: ref }), (_, user, { session }) => ({
  type: 'logout',
  sessionId: sessionOf(user, session),
}));

const customStatus = commandStep(
  'sets',
  fc.record({ session: ref, text: fc.constantFrom('busy', 'lunch 🍜', '', null) }),
  (_, user, { session, text }) => ({ type: 'setCustomStatus', sessionId: sessionOf(user, session), text }),
);

const end = commandStep(
  'is ended by a backend',
  fc.record({ platform: maybe(fc.constantFrom(...ALL)), session: maybe(ref), revokeTokens: fc.boolean() }),
  (_, user, { platform, session, revokeTokens }) => ({
    type: 'endSessions',
    platform,
    sessionId: session === null ? null : sessionOf(user, session),
    revokeTokens,
  }),
);

const expire = commandStep('expires', fc.constant(null), () => ({ type: 'expire' }));

const worldStep = <Args>(
  name: string,
  args: fc.Arbitrary<Args>,
  act: (world: ModelWorld, user: ModelUser, args: Args) => void,
): fc.Arbitrary<ModelStep> =>
  fc
    .tuple(moment, who, args)
    .map(
      ([when, index, given]) =>
        new ModelStep(when, index, formatStep(name, given), (world, user) => act(world, user, given)),
    );

const policy = worldStep<PolicyChange>('sees the policy changed', policyChange, (world, _, change) =>
  world.changePolicy(change),
);
const restart = worldStep('sees the server restart', fc.constant(null), (world) => world.restart());
const pause = worldStep(
  'sees the server paused',
  fc.oneof(fc.integer({ min: 1, max: 10 * MINUTE }), fc.integer({ min: 1, max: 8 * DAY })),
  (world, _, ms) => world.pause(ms),
);
const forget = worldStep('is removed', fc.constant(null), (world, user) => world.removeRecord(user));

/** Frequent steps are listed several times. */
const often = [login, heartbeat, attach];
const sometimes = [...often, ...often, detach, detach, expire, expire, activity];
export const commands: fc.Arbitrary<readonly ModelStep[]> = fc.array(
  fc.oneof(...sometimes, ...sometimes, logout, customStatus, end, policy, restart, pause, forget),
  { maxLength: 60, size: 'max' },
);
