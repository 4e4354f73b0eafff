/** What a server knows about one receiver. */
import { describe, expect, it } from 'vitest';
import { addMs, toMillis, parseWebhookId } from '../../../../src/core/ids.ts';
import {
  MAX_ISOLATED_USERS,
  ReceiverState,
  ReceiverStates,
} from '../../../../src/webhooks/isolation/receiver-state.ts';
import { rejectWithStatus } from '../support/fake-sender.ts';

const NOW = toMillis(1_700_000_000_000);
const ACCEPTED = { status: 204, error: null, deliveredEventCount: 3, retryAfterMs: null };

describe('the accepted attempts of a receiver', () => {
  it.each([
    ['a 2xx response', ACCEPTED, 1],
    ['an accepted test without events', { ...ACCEPTED, deliveredEventCount: 0 }, 1],
    ['a failure after some events were accepted', rejectWithStatus(500, { deliveredEventCount: 2 }), 1],
    ['a refusal', rejectWithStatus(500), 0],
    ['no response', { ...rejectWithStatus(500), status: null }, 0],
    ['an attempt whose format needed no request', { ...ACCEPTED, status: null, deliveredEventCount: 0 }, 0],
  ])('count %s', (_, report, count) => {
    const state = new ReceiverState();
    state.recordAttempt(report);
    expect(state.acceptedAttempts).toBe(count);
  });
});

describe('isolated users of a receiver', () => {
  it('are limited, but those of an earlier start count even beyond the limit', () => {
    const state = new ReceiverState();
    state.restoreIsolation(MAX_ISOLATED_USERS + 1);
    expect(state.reserveIsolation()).toBe(false);
    state.releaseIsolation(2);
    expect(state.reserveIsolation()).toBe(true);
    expect(state.reserveIsolation()).toBe(false);
    expect(state.isolatedUsers).toBe(MAX_ISOLATED_USERS);
  });

  it('share one backoff after five failures in a row, until the receiver accepts anything', () => {
    const state = new ReceiverState();
    const waiter = new AbortController();
    state.addWaiter(waiter);
    const pauses = Array.from({ length: 7 }, () => {
      state.recordIsolatedFailure(NOW, 0.5);
      return state.pausedUntil;
    });
    expect(pauses).toEqual([0, 0, 0, 0, addMs(NOW, 500), addMs(NOW, 1_000), addMs(NOW, 2_000)]);
    expect(state.startIsolatedAttempt()).toBe(true);
    expect(state.startIsolatedAttempt()).toBe(false);
    expect(waiter.signal.aborted).toBe(false);
    state.recordAttempt(ACCEPTED);
    expect(state.pausedUntil).toBe(0);
    expect(waiter.signal.aborted).toBe(true);
    for (let others = 0; others < 3; others++) expect(state.startIsolatedAttempt()).toBe(true);
    expect(state.startIsolatedAttempt()).toBe(false);
    state.endIsolatedAttempt();
    expect(state.startIsolatedAttempt()).toBe(true);
  });

  it('are counted over all webhooks, without deleted ones', () => {
    const states = new ReceiverStates();
    const [first, second] = [parseWebhookId('first'), parseWebhookId('second')];
    states.getState(first).restoreIsolation(2);
    states.getState(second).restoreIsolation(3);
    expect(states.countIsolatedUsers()).toBe(5);
    states.retainWebhooks((id) => id === second);
    expect(states.countIsolatedUsers()).toBe(3);
    expect(states.getState(first).isolatedUsers).toBe(0);
  });
});
