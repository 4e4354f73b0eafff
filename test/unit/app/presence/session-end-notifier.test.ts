import { beforeEach, describe, expect, it } from 'vitest';
import { SessionEndNotifier, type SessionEnd } from '../../../../src/app/presence/session-end-notifier.ts';
import { parseSessionId } from '../../../../src/core/ids.ts';
import { START } from '../support/fake-store.ts';
import { ALICE, BOB, AppHarness } from '../support/app-harness.ts';
import { errorOf, isPending } from '../support/waiting.ts';

const DONE = { done: true, value: undefined };

let harness: AppHarness;
let endings: SessionEndNotifier;

beforeEach(() => {
  harness = new AppHarness();
  endings = new SessionEndNotifier(harness.store);
});

describe('the stream of a session’s end', () => {
  it('has no message while the session lives, then one message, and is then done', async () => {
    const ref = await harness.session(ALICE);
    const other = await harness.session(BOB);
    const stream = endings.streamSessionEnd(ref);
    const first = stream.next();
    const second = stream.next();
    await harness.tracker.setCustomStatus(ref, 'here');
    await harness.tracker.logout(other);
    harness.store.passes(400_000);
    await harness.tracker.expireDueUsers([ALICE]);
    expect(await isPending(first)).toBe(true);
    harness.store.passes(1);
    await harness.tracker.logout(ref);
    expect(await first).toEqual({
      done: false,
      value: { sessionId: ref.sessionId, reason: 'LOGOUT', kickedBy: null, endedAt: START + 400_001 },
    });
    expect(await second).toEqual(DONE);
    expect(endings.awaitedSessionCount).toBe(0);
  });

  it('names the platform that kicked the session', async () => {
    const ref = await harness.session(ALICE, 'ANDROID');
    const message = endings.streamSessionEnd(ref).next();
    expect(await isPending(message)).toBe(true);
    await harness.login(ALICE, 'IPAD');
    expect((await message).value).toEqual({
      sessionId: ref.sessionId,
      reason: 'KICKED',
      kickedBy: 'IPAD',
      endedAt: START,
    });
  });

  it('is delivered to each of several readers', async () => {
    const ref = await harness.session();
    const messages = [endings.streamSessionEnd(ref).next(), endings.streamSessionEnd(ref).next()];
    for (const message of messages) expect(await isPending(message)).toBe(true);
    await harness.tracker.logout(ref);
    for (const message of messages) expect((await message).value).toMatchObject({ reason: 'LOGOUT' });
  });

  it('delivers an end from just before the subscription once', async () => {
    const ref = await harness.session(ALICE, 'ANDROID');
    await harness.login(ALICE, 'WEB');
    harness.store.passes(5_000);
    const stream = endings.streamSessionEnd(ref);
    expect((await stream.next()).value).toEqual({
      sessionId: ref.sessionId,
      reason: 'KICKED',
      kickedBy: 'WEB',
      endedAt: START,
    });
    expect(await stream.next()).toEqual(DONE);
  });

  it('ends with the error of the store', async () => {
    const failure = new Error('disk full');
    harness.store.gates.fail('before reading', failure);
    const stream = endings.streamSessionEnd({ userId: ALICE, sessionId: parseSessionId('s1') });
    expect(await errorOf(stream.next())).toBe(failure);
    expect(await stream.next()).toEqual(DONE);
    expect(endings.awaitedSessionCount).toBe(0);
  });
});

describe('an end during the lookup in the store is delivered once', () => {
  it('when the store answers that the session lives', async () => {
    const ref = await harness.session();
    const stream = endings.streamSessionEnd(ref);
    const read = harness.store.gates.hold('after reading');
    const message = stream.next();
    await read;
    await harness.tracker.logout(ref);
    harness.store.gates.open('after reading');
    expect((await message).value).toMatchObject({ reason: 'LOGOUT' });
    expect(await stream.next()).toEqual(DONE);
  });

  it('when the store answers with the end too', async () => {
    const ref = await harness.session();
    const stream = endings.streamSessionEnd(ref);
    const reading = harness.store.gates.hold('before reading');
    const message = stream.next();
    await reading;
    await harness.tracker.logout(ref);
    harness.store.gates.open('before reading');
    expect((await message).value).toMatchObject({ reason: 'LOGOUT' });
    expect(await stream.next()).toEqual(DONE);
  });

  it('when the store answers with the end before it is published', async () => {
    const ref = await harness.session();
    const committed = harness.store.gates.hold('before publishing');
    const logout = harness.tracker.logout(ref);
    await committed;
    const stream = endings.streamSessionEnd(ref);
    expect((await stream.next()).value).toMatchObject({ reason: 'LOGOUT' });
    harness.store.gates.open('before publishing');
    await logout;
    expect(await stream.next()).toEqual(DONE);
  });
});

describe('a reader that unsubscribes', () => {
  it('receives nothing and is removed', async () => {
    const ref = await harness.session();
    const stream = endings.streamSessionEnd(ref);
    const message = stream.next();
    expect(await isPending(message)).toBe(true);
    expect(endings.awaitedSessionCount).toBe(1);
    await stream.return();
    expect(await message).toEqual(DONE);
    expect(endings.awaitedSessionCount).toBe(0);
    await harness.tracker.logout(ref);
    expect(await stream.next()).toEqual(DONE);
  });
});

describe('a listener', () => {
  it('is called once for the end, unless it was removed', async () => {
    const ref = await harness.session();
    const received: (readonly [string, SessionEnd])[] = [];
    const listen = (name: string) => endings.onSessionEnd(ref.sessionId, (ending) => received.push([name, ending]));
    const stops = [listen('a'), listen('b'), listen('c')];
    stops[1]!();
    await harness.tracker.logout(ref);
    const ending = { sessionId: ref.sessionId, reason: 'LOGOUT', kickedBy: null, endedAt: START };
    expect(received).toEqual([
      ['a', ending],
      ['c', ending],
    ]);
    for (const stop of stops) stop();
    expect(endings.awaitedSessionCount).toBe(0);
  });

  it('may be removed twice, or during the call, without an effect on another', async () => {
    const ref = await harness.session();
    const received: string[] = [];
    const stopFirst = endings.onSessionEnd(ref.sessionId, () => received.push('first'));
    stopFirst();
    const stopSecond = endings.onSessionEnd(ref.sessionId, () => {
      stopSecond();
      received.push('second');
      endings.onSessionEnd(ref.sessionId, () => received.push('added during the call'));
    });
    endings.onSessionEnd(ref.sessionId, () => received.push('third'));
    stopFirst();
    await harness.tracker.logout(ref);
    expect(received).toEqual(['second', 'third']);
  });

  it('is not called after another listener removed it', async () => {
    const ref = await harness.session();
    const received: string[] = [];
    endings.onSessionEnd(ref.sessionId, () => {
      received.push('first');
      stopSecond();
    });
    const stopSecond = endings.onSessionEnd(ref.sessionId, () => received.push('second'));
    await harness.tracker.logout(ref);
    expect(received).toEqual(['first']);
  });
});
