/** Subscriptions over HTTP, with server-sent events. */
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { API_KEY, codeOf as replyCode, ServerHarness } from '../support/server-harness.ts';

interface Event {
  readonly event: string;
  readonly data: { readonly data?: unknown; readonly errors?: readonly { readonly extensions: object }[] } | null;
}

const subscribe = async (harness: ServerHarness, query: string, credential: string) => {
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const response = await fetch(`${harness.url}/graphql`, {
    method: 'POST',
    signal: abort.signal,
    headers: {
      accept: 'text/event-stream',
      authorization: `Bearer ${credential}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ query }),
  });
  return { response, abort, events: response.body ? parseEvents(response.body) : null };
};

async function* parseEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<Event, void> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n');
      text = text.slice(end + 2);
      const field = (name: string) =>
        lines
          .find((line) => line.startsWith(`${name}:`))
          ?.slice(name.length + 1)
          .trim();
      const event = field('event');
      if (event !== undefined)
        yield { event, data: field('data') ? (JSON.parse(field('data') ?? '') as Event['data']) : null };
    }
  }
}

const next = async (events: AsyncGenerator<Event, void> | null): Promise<Event | undefined> => {
  const { value } = (await events?.next()) ?? {};
  return value ?? undefined;
};

const WATCH = 'subscription { statusChanges(userIds: ["bob"]) { status } }';
const codeOf = (event: Event | undefined): unknown => event?.data?.errors?.[0]?.extensions;

describe('an event stream', () => {
  test('sends the present status, then changes, and stops when the client disconnects', async () => {
    const harness = await ServerHarness.open();
    const { response, events, abort } = await subscribe(harness, WATCH, API_KEY);
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(await next(events)).toEqual({ event: 'next', data: { data: { statusChanges: [{ status: 'OFFLINE' }] } } });
    await harness.login('bob');
    expect(await next(events)).toEqual({ event: 'next', data: { data: { statusChanges: [{ status: 'ONLINE' }] } } });
    expect(harness.application.statusWatchers.watchedUserCount).toBe(1);
    abort.abort();
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('is not started for a client that accepts only JSON; the status is 406', async () => {
    const harness = await ServerHarness.open();
    for (const accept of ['application/json', 'application/graphql-response+json']) {
      const reply = await harness.post(WATCH, API_KEY, undefined, { accept });
      expect([reply.status, replyCode(reply)]).toEqual([406, 'BAD_REQUEST']);
    }
    expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('stops at once when the client disconnects before the subscription has started', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const abort = new AbortController();
    const watch = vi.spyOn(harness.application.statusWatchers, 'watchUsers');
    const recordActivity = vi.spyOn(harness.application.tracker, 'recordActivity');
    const gone = new Promise<void>((resolve) => {
      recordActivity.mockImplementationOnce(async (...args) => {
        recordActivity.mockRestore();
        abort.abort();
        await expect.poll(() => harness.logLines.filter((line) => line.includes('"request"')).length).toBe(2);
        resolve();
        return harness.application.tracker.recordActivity(...args);
      });
    });
    const headers = {
      accept: 'text/event-stream',
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
    };
    const request = fetch(`${harness.url}/graphql`, {
      method: 'POST',
      signal: abort.signal,
      headers,
      body: JSON.stringify({ query: WATCH }),
    });
    await expect(request).rejects.toThrow();
    await gone;
    await expect.poll(() => watch).toHaveBeenCalled();
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('of a session ends when the session ends, with the reason as its last event', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const { events } = await subscribe(harness, WATCH, token);
    await next(events);
    await harness.login('alice', 'IPHONE');
    expect(codeOf(await next(events))).toMatchObject({ code: 'SESSION_ENDED', reason: 'KICKED', kickedBy: 'IPHONE' });
    expect(await next(events)).toEqual({ event: 'complete', data: null });
    expect(await next(events)).toBeUndefined();
    expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('of sessionEnded sends the reason as an event and completes', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const { events } = await subscribe(harness, 'subscription { sessionEnded { reason kickedBy } }', token);
    const message = next(events);
    await expect.poll(async () => (await harness.login('alice', 'IPHONE')).id).toBeTypeOf('string');
    expect(await message).toEqual({
      event: 'next',
      data: { data: { sessionEnded: { reason: 'KICKED', kickedBy: 'IPHONE' } } },
    });
    expect(await next(events)).toEqual({ event: 'complete', data: null });
  });

  test('with the token of an ended session or an invalid token sends one error', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    await harness.post('mutation { logout { userStatus { version } } }', token);
    const ended = await subscribe(harness, WATCH, token);
    expect(codeOf(await next(ended.events))).toMatchObject({ code: 'SESSION_ENDED', reason: 'LOGOUT' });
    const unauthenticated = await subscribe(harness, WATCH, 'wrong');
    expect(codeOf(await next(unauthenticated.events))).toEqual({ code: 'UNAUTHENTICATED' });
  });

  test('opened with a JWT ends when the JWT expires', async () => {
    const harness = await ServerHarness.open();
    const { events } = await subscribe(
      harness,
      WATCH,
      await harness.jwt('alice', { exp: Math.floor(harness.now / 1_000) + 2 }),
    );
    await next(events);
    expect(codeOf(await next(events))).toEqual({ code: 'UNAUTHENTICATED' });
    expect(await next(events)).toEqual({ event: 'complete', data: null });
  });

  test('opened with a JWT ends when the JWT is revoked', async () => {
    const harness = await ServerHarness.open();
    const { events } = await subscribe(harness, WATCH, await harness.jwt('alice'));
    await next(events);
    await harness.post('mutation { endSessions(input: { userId: "alice", revokeTokens: true }) { ended { id } } }');
    expect(codeOf(await next(events))).toEqual({ code: 'UNAUTHENTICATED' });
  });

  test('that fails internally sends a masked error, and the details are logged', async () => {
    const harness = await ServerHarness.open();
    vi.spyOn(harness.store, 'readUsers').mockRejectedValueOnce(new Error('disk on fire'));
    const { events } = await subscribe(harness, WATCH, API_KEY);
    expect(codeOf(await next(events))).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
    expect(await next(events)).toEqual({ event: 'complete', data: null });
    expect(harness.logLines.join('')).toContain('disk on fire');
  });
});
