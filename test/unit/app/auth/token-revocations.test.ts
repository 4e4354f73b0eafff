import { beforeEach, describe, expect, it } from 'vitest';
import { findRevocationError } from '../../../../src/app/auth/token-revocations.ts';
import { OutdatedTokenError } from '../../../../src/app/ports/user-token.ts';
import { addMs, toMillis } from '../../../../src/core/ids.ts';
import { START } from '../support/fake-store.ts';
import { ALICE, BOB, AppHarness } from '../support/app-harness.ts';
import { errorOf } from '../support/waiting.ts';

const tooSoon = (seconds: number, needed: number): string =>
  `The token was issued ${seconds} s after a revocation, but at least ${needed} s are needed (PORCHLIGHT_JWT_CLOCK_TOLERANCE).`;

const ALL = { platform: null, sessionId: null } as const;

let harness: AppHarness;
let received: string[];

beforeEach(() => {
  harness = new AppHarness();
  received = [];
});

const listen = (name: string, user = ALICE) =>
  harness.tracker.tokenRevocations.onTokensRevoked(user, (before) => received.push(`${name} ${before - START}`));

describe('a listener to the revocations of a user', () => {
  it('receives the time of a revocation, also when no session ends', async () => {
    listen('one');
    listen('two');
    listen('of bob', BOB);
    harness.store.passes(5);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(received).toEqual(['one 5', 'two 5']);
    harness.store.passes(5);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(received).toEqual(['one 5', 'two 5', 'one 10', 'two 10']);
  });

  it('receives nothing when sessions end without a revocation', async () => {
    await harness.tracker.endSessions(ALICE, ALL, true);
    listen('one');
    await harness.login();
    await harness.tracker.endSessions(ALICE, ALL, false);
    expect(received).toEqual([]);
  });

  it('receives nothing of a revocation that failed', async () => {
    listen('one');
    const failure = new Error('disk full');
    harness.store.gates.fail('before deciding', failure);
    expect(await errorOf(harness.tracker.endSessions(ALICE, ALL, true))).toBe(failure);
    expect(received).toEqual([]);
  });

  it('receives nothing after it unsubscribed; a second unsubscription changes nothing, and other listeners still receive', async () => {
    const stop = listen('one');
    const staying = listen('two');
    stop();
    stop();
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(received).toEqual(['two 0']);
    expect(harness.tracker.tokenRevocations.listenedUserCount).toBe(1);
    staying();
    expect(harness.tracker.tokenRevocations.listenedUserCount).toBe(0);
    await harness.tracker.endSessions(ALICE, ALL, true);
    expect(received).toEqual(['two 0']);
  });
});

describe('a token, compared with a revocation', () => {
  const R = toMillis(1_800_000_000_500);

  it.each<[name: string, issuedAfterMs: number | null, toleranceMs: number, message: string | null]>([
    ['a token without a time of issue', null, 60_000, 'The token has been revoked.'],
    ['a token of long before', -1e9, 60_000, 'The token has been revoked.'],
    ['a token of the last millisecond before', -1, 60_000, 'The token has been revoked.'],
    ['a token of the same moment', 0, 60_000, tooSoon(0, 60)],
    ['a token that is 50 s ahead', 50_000, 60_000, tooSoon(50, 60)],
    ['the last token within the tolerance', 59_999, 60_000, tooSoon(59, 60)],
    ['the first token after the tolerance', 60_000, 60_000, null],
    ['a later token', 3_600_000, 60_000, null],
    ['without a tolerance, a token of the last millisecond before', -1, 0, 'The token has been revoked.'],
    ['without a tolerance, a token of the same moment', 0, 0, null],
    ['with a tolerance of 500 ms, the last token within it', 499, 500, tooSoon(0, 0.5)],
    ['with a tolerance of 500 ms, the first token after it', 500, 500, null],
  ])('is revoked unless it must have been issued later: %s', (_, issuedAfterMs, clockToleranceMs, message) => {
    const issuedAt = issuedAfterMs === null ? null : addMs(R, issuedAfterMs);
    const error = findRevocationError({ issuedAt, clockToleranceMs }, R);
    expect(error?.message ?? null).toBe(message);
    expect(error instanceof OutdatedTokenError).toBe(message?.startsWith('The token was issued') === true);
    if (error !== null) expect(error.details).toEqual({ code: 'UNAUTHENTICATED' });
    expect(findRevocationError({ issuedAt, clockToleranceMs }, null)).toBeNull();
  });
});
