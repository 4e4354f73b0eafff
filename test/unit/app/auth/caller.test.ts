import { describe, expect, it } from 'vitest';
import {
  BACKEND,
  checkedUserIds,
  maySeeSessions,
  NOBODY,
  requireBackend,
  requireJwt,
  requireMayWatch,
  requireSession,
  requireSomebody,
  type AppCaller,
  type Caller,
} from '../../../../src/app/auth/caller.ts';
import { millis, sessionId, userId } from '../../../../src/core/ids.ts';
import type { Watch } from '../../../../src/core/records.ts';
import { ALICE, BOB, CAROL } from '../support/app-harness.ts';
import { refusalOf } from '../support/waiting.ts';

const JWT = { issuedAt: null, expiresAt: millis(2_000_000_000_000) };

const app = (also: Partial<AppCaller>): AppCaller => ({
  kind: 'app',
  userId: ALICE,
  watch: null,
  jwt: null,
  sessionId: null,
  ...also,
});
const CALLERS = {
  nobody: NOBODY,
  backend: BACKEND,
  jwt: app({ jwt: JWT }),
  session: app({ sessionId: sessionId('s1') }),
  both: app({ jwt: JWT, sessionId: sessionId('s1') }),
} as const;

type Who = keyof typeof CALLERS;
type Answer = 'ok' | 'UNAUTHENTICATED' | 'FORBIDDEN';

const answer = (require: (caller: Caller) => unknown, who: Who): Answer => {
  try {
    require(CALLERS[who]);
  } catch {
    return refusalOf(() => require(CALLERS[who])).fault.code as Answer;
  }
  return 'ok';
};

const TABLE: readonly (readonly [string, (caller: Caller) => unknown, Readonly<Record<Who, Answer>>])[] = [
  [
    'requireSomebody',
    requireSomebody,
    { nobody: 'UNAUTHENTICATED', backend: 'ok', jwt: 'ok', session: 'ok', both: 'ok' },
  ],
  [
    'requireBackend',
    requireBackend,
    { nobody: 'UNAUTHENTICATED', backend: 'ok', jwt: 'FORBIDDEN', session: 'FORBIDDEN', both: 'FORBIDDEN' },
  ],
  [
    'requireSession',
    requireSession,
    { nobody: 'UNAUTHENTICATED', backend: 'FORBIDDEN', jwt: 'UNAUTHENTICATED', session: 'ok', both: 'ok' },
  ],
  [
    'requireJwt',
    requireJwt,
    { nobody: 'UNAUTHENTICATED', backend: 'FORBIDDEN', jwt: 'ok', session: 'FORBIDDEN', both: 'ok' },
  ],
  [
    'requireMayWatch',
    (caller) => requireMayWatch(caller, [BOB], 'everyone'),
    { nobody: 'UNAUTHENTICATED', backend: 'ok', jwt: 'ok', session: 'ok', both: 'ok' },
  ],
];

describe.each(TABLE)('%s', (_name, require, expected) => {
  it.each(Object.entries(expected) as [Who, Answer][])('answers %s with %s', (who, code) => {
    expect(answer(require, who)).toBe(code);
  });
});

describe('who passes', () => {
  it('as a session is told which', () => {
    expect(requireSession(CALLERS.both)).toEqual({ userId: ALICE, sessionId: 's1' });
  });

  it('with a JWT is told whose', () => {
    expect(requireJwt(CALLERS.jwt)).toBe(CALLERS.jwt);
  });
});

describe('the users of one call', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, index) => `user ${index}`);

  it('are up to 500, in the order asked, duplicates and all', () => {
    expect(checkedUserIds([])).toEqual([]);
    expect(checkedUserIds(['b', 'a', 'b'])).toEqual(['b', 'a', 'b']);
    expect(checkedUserIds(ids(500))).toEqual(ids(500));
  });

  it('are refused when they are more, duplicates counted', () => {
    expect(refusalOf(() => checkedUserIds(ids(501))).fault).toEqual({ code: 'TOO_MANY_USERS' });
    expect(refusalOf(() => checkedUserIds(Array.from({ length: 501 }, () => 'a'))).fault).toEqual({
      code: 'TOO_MANY_USERS',
    });
    expect(refusalOf(() => checkedUserIds(ids(501))).message).toMatch(/501.*500/);
  });

  it('are all users, or the call is refused', () => {
    for (const wrong of ['', 'a\u0000b', 'x'.repeat(129), '\ud800']) {
      expect(refusalOf(() => checkedUserIds(['fine', wrong])).fault).toEqual({ code: 'BAD_USER_INPUT' });
    }
    expect(checkedUserIds(['𝒳'.repeat(128)])).toHaveLength(1);
  });
});

describe('whom an app may watch', () => {
  const may = (watch: Watch, visibility: 'everyone' | 'none', asked = [BOB]) => {
    try {
      requireMayWatch(app({ watch, jwt: JWT }), asked, visibility);
      return true;
    } catch {
      return false;
    }
  };

  it.each<[Watch, 'everyone' | 'none', boolean]>([
    [null, 'everyone', true],
    [null, 'none', false],
    ['*', 'everyone', true],
    ['*', 'none', true],
    [[BOB], 'none', true],
    [[BOB], 'everyone', true],
    [[CAROL], 'everyone', false],
    [[], 'everyone', false],
  ])('with the claim %j and the setting %s: bob %s', (watch, visibility, expected) => {
    expect(may(watch, visibility)).toBe(expected);
  });

  it('is herself in any case, and nobody more by that', () => {
    for (const watch of [null, [], [CAROL]]) {
      expect(may(watch, 'none', [ALICE])).toBe(true);
      expect(may(watch, 'none', [ALICE, BOB])).toBe(false);
      expect(may(watch, 'none', [])).toBe(true);
    }
  });

  it('is everybody for a backend', () => {
    requireMayWatch(BACKEND, [ALICE, BOB], 'none');
  });

  it('is refused in the same words, whoever it is about', () => {
    const refusals = [[BOB], [userId('nobody at all')], [ALICE, CAROL], [BOB, CAROL]].map((asked) =>
      refusalOf(() => requireMayWatch(app({ jwt: JWT }), asked, 'none')),
    );
    expect(new Set(refusals.map(({ message }) => message)).size).toBe(1);
    expect(refusals.map(({ fault }) => fault)).toEqual(refusals.map(() => ({ code: 'FORBIDDEN' })));
    for (const { message } of refusals) expect(message).not.toMatch(/bob|carol|nobody/);
  });
});

describe('the devices of a user', () => {
  it('are seen by herself and by backends', () => {
    const seen = (Object.keys(CALLERS) as Who[]).filter((who) => maySeeSessions(CALLERS[who], ALICE));
    expect(seen).toEqual(['backend', 'jwt', 'session', 'both']);
    expect((Object.keys(CALLERS) as Who[]).filter((who) => maySeeSessions(CALLERS[who], BOB))).toEqual(['backend']);
  });

  it('are not seen by who may watch her', () => {
    expect(maySeeSessions(app({ watch: '*', jwt: JWT }), BOB)).toBe(false);
  });
});
