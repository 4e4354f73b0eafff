/**
 * Random commands at random moments. They name sessions and links by how long ago these were made,
 * because what exists is only known while a sequence runs; that keeps every shrunk sequence meaningful.
 */
import fc from 'fast-check';
import type { Command } from '../../../../src/core/commands.ts';
import { parseDeviceId, parseSessionId, type SocketId, type SessionId } from '../../../../src/core/ids.ts';
import type { PolicyChange } from '../../../../src/core/policy.ts';
import { ALL, DAY, MINUTE } from '../tables.ts';
import { moment, type Moment } from './moments.ts';
import { policyChange } from './policy-changes.ts';
import { NAMES, type Person, type ModelWorld } from './model-world.ts';

/** One command of a sequence: it waits, then it acts. */
export class Act implements fc.WithToStringMethod {
  readonly #moment: Moment;
  readonly #who: number;
  readonly #text: string;
  readonly #act: (world: ModelWorld, person: Person) => void;

  constructor(when: Moment, who: number, text: string, act: (world: ModelWorld, person: Person) => void) {
    this.#moment = when;
    this.#who = who;
    this.#text = text;
    this.#act = act;
  }

  run(world: ModelWorld): void {
    const person = world.people[this.#who];
    if (!person) return;
    world.passes(this.#moment.wait(world, person));
    this.#act(world, person);
  }

  [fc.toStringMethod](): string {
    return this.toString();
  }

  toString(): string {
    return `${this.#moment.text}${NAMES[this.#who] ?? ''} ${this.#text}`;
  }
}

// Most of a sequence befalls one user, so that it gets somewhere; the others show that they are not touched.
const who = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 2, arbitrary: fc.nat(NAMES.length - 1) });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null });

/** Counted from the newest: one of those that live, or one of all there ever were. */
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
const sessionOf = ({ record, sessionsEver }: Person, which: Ref): SessionId =>
  pick(
    which,
    record.sessions.map(({ id }) => id),
    sessionsEver,
  ) ?? parseSessionId('never-made');
const linkOf = ({ record, linksEver }: Person, which: Ref): SocketId | undefined =>
  pick(
    which,
    record.sessions.flatMap(({ socketIds: links }) => links),
    linksEver,
  );

const said = (name: string, given: unknown): string => (given === null ? name : `${name} ${JSON.stringify(given)}`);

const command = <Args>(
  name: string,
  args: fc.Arbitrary<Args>,
  make: (world: ModelWorld, person: Person, args: Args) => Command,
): fc.Arbitrary<Act> =>
  fc.tuple(moment, who, args).map(([when, index, given]) => {
    const text = said(name, given);
    return new Act(when, index, text, (world, person) => world.do(person, make(world, person, given)));
  });

const login = command(
  'login',
  fc.record({
    platform: fc.constantFrom(...ALL),
    device: maybe(fc.constantFrom('d1', 'd2')),
    // A socket that was never any session's, or one that has logged in or attached before.
    over: fc.oneof(fc.constant('http' as const), fc.constant('a new link' as const), fc.nat({ max: 2 })),
    ip: maybe(fc.constantFrom('192.0.2.1', '192.0.2.2')),
  }),
  (world, person, { platform, device, over, ip }) => {
    const held = person.record.sessions.flatMap(({ socketIds: links }) => links);
    const used = typeof over === 'number' ? held[held.length - 1 - over] : undefined;
    const link = over === 'http' ? null : (used ?? world.newLink());
    const id = world.newSession();
    person.sessionsEver.push(id);
    if (link !== null && used === undefined) person.linksEver.push(link);
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
      socketId: link,
    };
  },
);

const heartbeat = command(
  'heartbeat',
  fc.record({
    session: ref,
    appState: fc.constantFrom('BACKGROUND', 'FOREGROUND', 'BACKGROUND', null),
    ip: maybe(fc.constant('192.0.2.3')),
  }),
  (_, person, { session, appState, ip }) => ({
    type: 'heartbeat',
    sessionId: sessionOf(person, session),
    appState,
    ipAddress: ip,
  }),
);

const life = command(
  'shows life',
  fc.record({ session: ref, link: maybe(ref), ip: maybe(fc.constant('192.0.2.4')) }),
  (_, person, { session, link, ip }) => ({
    type: 'activity',
    sessionId: sessionOf(person, session),
    socketId: link === null ? null : (linkOf(person, link) ?? null),
    ipAddress: ip,
  }),
);

const attach = command(
  'attaches',
  fc.record({ session: ref, ip: maybe(fc.constant('192.0.2.5')) }),
  (world, person, { session, ip }) => {
    const link = world.newLink();
    person.linksEver.push(link);
    return { type: 'attachSocket', sessionId: sessionOf(person, session), socketId: link, ipAddress: ip };
  },
);

const detach = command(
  'loses',
  fc.record({ link: ref, byServer: fc.boolean() }),
  (world, person, { link, byServer }) => ({
    type: 'detachSocket',
    socketId: linkOf(person, link) ?? world.newLink(),
    closedByServer: byServer,
  }),
);

const logout = command('logs out', fc.record({ session: ref }), (_, person, { session }) => ({
  type: 'logout',
  sessionId: sessionOf(person, session),
}));

const customStatus = command(
  'sets',
  fc.record({ session: ref, text: fc.constantFrom('busy', 'lunch 🍜', '', null) }),
  (_, person, { session, text }) => ({ type: 'setCustomStatus', sessionId: sessionOf(person, session), text }),
);

const end = command(
  'is ended by a backend',
  fc.record({ platform: maybe(fc.constantFrom(...ALL)), session: maybe(ref), revokeTokens: fc.boolean() }),
  (_, person, { platform, session, revokeTokens }) => ({
    type: 'endSessions',
    platform,
    sessionId: session === null ? null : sessionOf(person, session),
    revokeTokens,
  }),
);

const wake = command('is woken', fc.constant(null), () => ({ type: 'expire' }));

const ofWorld = <Args>(
  name: string,
  args: fc.Arbitrary<Args>,
  act: (world: ModelWorld, person: Person, args: Args) => void,
): fc.Arbitrary<Act> =>
  fc
    .tuple(moment, who, args)
    .map(
      ([when, index, given]) => new Act(when, index, said(name, given), (world, person) => act(world, person, given)),
    );

const policy = ofWorld<PolicyChange>('sees the policy changed', policyChange, (world, _, change) =>
  world.changePolicy(change),
);
const restart = ofWorld('sees the server restart', fc.constant(null), (world) => world.restart());
const sleep = ofWorld(
  'sees the server sleep',
  fc.oneof(fc.integer({ min: 1, max: 10 * MINUTE }), fc.integer({ min: 1, max: 8 * DAY })),
  (world, _, ms) => world.sleep(ms),
);
const forget = ofWorld('is forgotten', fc.constant(null), (world, person) => world.forget(person));

/** What happens often stands here more than once. */
const often = [login, heartbeat, attach];
const sometimes = [...often, ...often, detach, detach, wake, wake, life];
export const commands: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(...sometimes, ...sometimes, logout, customStatus, end, policy, restart, sleep, forget),
  { maxLength: 60, size: 'max' },
);
