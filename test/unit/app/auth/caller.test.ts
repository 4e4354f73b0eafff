import { describe, expect, it } from 'vitest';
import {
  BACKEND_CALLER,
  parseUserIds,
  canSeeSessions,
  UNAUTHENTICATED_CALLER,
  requireBackend,
  requireJwtCaller,
  requireWatchAccess,
  requireSession,
  requireAuthenticated,
  type AppCaller,
  type Caller,
} from '../../../../src/app/auth/caller.ts';
import { toMillis, parseSessionId, parseUserId } from '../../../../src/core/ids.ts';
import type { WatchScope } from '../../../../src/core/records.ts';
import { ALICE, BOB, CAROL } from '../support/app-harness.ts';
import { refusalOf } from '../support/waiting.ts';

const JWT = { issuedAt: null, clockToleranceMs: 0, expiresAt: toMillis(2_000_000_000_000) };

const app = (also: Partial<AppCaller>): AppCaller => ({
  kind: 'app',
  userId: ALICE,
  watchScope: null,
  jwt: null,
  sessionId: null,
  ...also,
});
const CALLERS = {
  unauthenticated: UNAUTHENTICATED_CALLER,
  backend: BACKEND_CALLER,
  jwt: app({ jwt: JWT }),
  session: app({ sessionId: parseSessionId('s1') }),
  both: app({ jwt: JWT, sessionId: parseSessionId('s1') }),
} as const;

type Who = keyof typeof CALLERS;
type Answer = 'ok' | 'UNAUTHENTICATED' | 'FORBIDDEN';

const answer = (require: (caller: Caller) => unknown, who: Who): Answer => {
  try {
    require(CALLERS[who]);
  } catch {
    return refusalOf(() => require(CALLERS[who])).details.code as Answer;
  }
  return 'ok';
};

const TABLE: readonly (readonly [string, (caller: Caller) => unknown, Readonly<Record<Who, Answer>>])[] = [
  [
    'requireSomebody',
    requireAuthenticated,
    { unauthenticated: 'UNAUTHENTICATED', backend: 'ok', jwt: 'ok', session: 'ok', both: 'ok' },
  ],
  [
    'requireBackend',
    requireBackend,
    { unauthenticated: 'UNAUTHENTICATED', backend: 'ok', jwt: 'FORBIDDEN', session: 'FORBIDDEN', both: 'FORBIDDEN' },
  ],
  [
    'requireSession',
    requireSession,
    { unauthenticated: 'UNAUTHENTICATED', backend: 'FORBIDDEN', jwt: 'UNAUTHENTICATED', session: 'ok', both: 'ok' },
  ],
  [
    'requireJwt',
    requireJwtCaller,
    { unauthenticated: 'UNAUTHENTICATED', backend: 'FORBIDDEN', jwt: 'ok', session: 'FORBIDDEN', both: 'ok' },
  ],
  [
    'requireMayWatch',
    (caller) => requireWatchAccess(caller, [BOB], 'everyone'),
    { unauthenticated: 'UNAUTHENTICATED', backend: 'ok', jwt: 'ok', session: 'ok', both: 'ok' },
  ],
];

describe.each(TABLE)('%s', (_name, require, expected) => {
  it.each(Object.entries(expected) as [Who, Answer][])('answers %s with %s', (who, code) => {
    expect(answer(require, who)).toBe(code);
  });
});

describe('a caller that is accepted', () => {
  it('as a session is returned as that session', () => {
    expect(requireSession(CALLERS.both)).toEqual({ userId: ALICE, sessionId: 's1' });
  });

  it('with a JWT is returned as the user of the JWT', () => {
    expect(requireJwtCaller(CALLERS.jwt)).toBe(CALLERS.jwt);
  });
});

describe('the user ids of one call', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, index) => `user ${index}`);

  it('may be up to 500, and keep their order and their duplicates', () => {
    expect(parseUserIds([])).toEqual([]);
    expect(parseUserIds(['b', 'a', 'b'])).toEqual(['b', 'a', 'b']);
    expect(parseUserIds(ids(500))).toEqual(ids(500));
  });

  it('are rejected when there are more than 500, duplicates included', () => {
    expect(refusalOf(() => parseUserIds(ids(501))).details).toEqual({ code: 'TOO_MANY_USERS' });
    expect(refusalOf(() => parseUserIds(Array.from({ length: 501 }, () => 'a'))).details).toEqual({
      code: 'TOO_MANY_USERS',
    });
    expect(refusalOf(() => parseUserIds(ids(501))).message).toMatch(/501.*500/);
  });

  it('are rejected when one of them is not a valid user id', () => {
    for (const wrong of ['', 'a\u0000b', 'x'.repeat(129), '\ud800']) {
      expect(refusalOf(() => parseUserIds(['fine', wrong])).details).toEqual({ code: 'BAD_USER_INPUT' });
    }
    expect(parseUserIds(['𝒳'.repeat(128)])).toHaveLength(1);
  });
});

describe('the users that an app may watch', () => {
  const may = (watch: WatchScope, visibility: 'everyone' | 'none', asked = [BOB]) => {
    try {
      requireWatchAccess(app({ watchScope: watch, jwt: JWT }), asked, visibility);
      return true;
    } catch {
      return false;
    }
  };

  it.each<[WatchScope, 'everyone' | 'none', boolean]>([
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

  it('always include the user themself, and no other user because of that', () => {
    for (const watch of [null, [], [CAROL]]) {
      expect(may(watch, 'none', [ALICE])).toBe(true);
      expect(may(watch, 'none', [ALICE, BOB])).toBe(false);
      expect(may(watch, 'none', [])).toBe(true);
    }
  });

  it('are all users for a backend', () => {
    requireWatchAccess(BACKEND_CALLER, [ALICE, BOB], 'none');
  });

  it('are rejected with the same message for every user', () => {
    const refusals = [[BOB], [parseUserId('a user never seen')], [ALICE, CAROL], [BOB, CAROL]].map((asked) =>
      refusalOf(() => requireWatchAccess(app({ jwt: JWT }), asked, 'none')),
    );
    expect(new Set(refusals.map(({ message }) => message)).size).toBe(1);
    expect(refusals.map(({ details: fault }) => fault)).toEqual(refusals.map(() => ({ code: 'FORBIDDEN' })));
    for (const { message } of refusals) expect(message).not.toMatch(/bob|carol|never seen/);
  });
});

describe('the devices of a user', () => {
  it('are visible to the user and to backends', () => {
    const seen = (Object.keys(CALLERS) as Who[]).filter((who) => canSeeSessions(CALLERS[who], ALICE));
    expect(seen).toEqual(['backend', 'jwt', 'session', 'both']);
    expect((Object.keys(CALLERS) as Who[]).filter((who) => canSeeSessions(CALLERS[who], BOB))).toEqual(['backend']);
  });

  it('are not visible to other users who may watch the user', () => {
    expect(canSeeSessions(app({ watchScope: '*', jwt: JWT }), BOB)).toBe(false);
  });
});
