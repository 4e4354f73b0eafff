/** Sockets and the sessions they serve: attached, left, lost. */
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, House, LOGIN } from '../support/server-harness.ts';
import { Wire, type Message } from '../support/wire.ts';

const sessionOf = (reply: Message): { id: string; token: string } => {
  const { session, sessionToken } = (
    reply.payload?.['data'] as unknown as { login: { session: { id: string }; sessionToken: string } }
  ).login;
  return { id: session.id, token: sessionToken };
};

const attachedOf = async (house: House, user: string): Promise<boolean[]> => {
  const { body } = await house.post('query ($id: ID!) { userStatus(userId: $id) { sessions { attached } } }', API_KEY, {
    id: user,
  });
  return (body.data?.['userStatus'] as unknown as { sessions: { attached: boolean }[] }).sessions.map(
    ({ attached }) => attached,
  );
};

/** Waits until the server knows that so many sockets are open. */
const untilSockets = (house: House, count: number) => expect.poll(() => house.porchlight.links.count).toBe(count);
const untilReason = (house: House, user: string, reason: string) =>
  expect.poll(async () => (await house.reasons(user)).at(-1)).toBe(reason);

describe('a session’s socket', () => {
  test.each<[string, (wire: Wire) => void]>([
    ['with a close frame', (wire) => wire.ws.close(1000)],
    ['with a FIN', (wire) => wire.tcp.end()],
    ['with a RST', (wire) => wire.reset()],
    ['cut off', (wire) => wire.ws.terminate()],
  ])('that closes %s is a DISCONNECT: PUSH_ONLINE on a phone', async (_how, close) => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = await Wire.as(house.socketUrl, token);
    expect(await attachedOf(house, 'alice')).toEqual([true]);
    close(wire);
    await untilReason(house, 'alice', 'DISCONNECT');
    expect(await house.status('alice')).toBe('PUSH_ONLINE');
    expect(await attachedOf(house, 'alice')).toEqual([false]);
    expect(house.porchlight.links.count).toBe(0);
  });

  test.each<[string, (wire: Wire) => void]>([
    ['a close frame', (wire) => wire.ws.close(1000)],
    ['a FIN', (wire) => wire.tcp.end()],
  ])(
    'counts as closed with %s, however long its end takes: what the client does next comes after',
    async (_how, say) => {
      const house = await House.open();
      const policy = 'mutation ($i: UpdatePolicyInput!) { updatePolicy(input: $i) { policy { pushOnlineExpiryMs } } }';
      await house.post(policy, API_KEY, { i: { platforms: [{ platform: 'IPHONE', disconnectGraceMs: 5_000 }] } });
      const { token } = await house.login('alice', 'IPHONE');
      const wire = await Wire.as(house.socketUrl, token);
      // It never reads the answer to its goodbye, so the connection stays as it is.
      wire.tcp.pause();
      say(wire);
      await expect.poll(() => attachedOf(house, 'alice')).toEqual([false]);
      await house.post('{ me { id } }', token);
      await house.pass(5_000);
      expect(await house.reasons('alice')).toEqual(['LOGIN']);
      wire.ws.terminate();
      await untilSockets(house, 0);
      await house.pass(5_000);
      expect(await house.reasons('alice')).toEqual(['LOGIN']);
    },
  );

  test('that closes with a FIN is sent what was answered before it', async () => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = await Wire.as(house.socketUrl, token);
    wire.tcp.cork();
    wire.send({ type: 'ping' });
    wire.tcp.end();
    expect(await wire.next()).toEqual({ type: 'pong' });
  });

  test('is one of several: the last to close counts', async () => {
    const house = await House.open();
    const { token } = await house.login('alice', 'WEB');
    const first = await Wire.as(house.socketUrl, token);
    const second = await Wire.as(house.socketUrl, token);
    first.reset();
    await untilSockets(house, 1);
    expect(await attachedOf(house, 'alice')).toEqual([true]);
    expect((await second.ask('{ me { attached } }')).type).toBe('next');
    second.ws.close();
    await untilReason(house, 'alice', 'DISCONNECT');
    expect(await house.status('alice')).toBe('OFFLINE');
  });

  test('that closes late does not touch the one that took its place', async () => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const old = await Wire.as(house.socketUrl, token);
    await house.pass(399_000);
    const young = await Wire.as(house.socketUrl, token);
    old.reset();
    await untilSockets(house, 1);
    await house.pass(399_000);
    expect(await house.reasons('alice')).toEqual(['LOGIN']);
    expect(young.ws.readyState).toBe(young.ws.OPEN);
    expect(await attachedOf(house, 'alice')).toEqual([true]);
  });

  test('coming back is a RECONNECT', async () => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    (await Wire.as(house.socketUrl, token)).reset();
    await untilReason(house, 'alice', 'DISCONNECT');
    await Wire.as(house.socketUrl, token);
    expect(await house.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT', 'RECONNECT']);
  });

  test('that closes for an error of its client is a DISCONNECT too', async () => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = await Wire.as(house.socketUrl, token);
    wire.ws.send('{');
    expect((await wire.closed).code).toBe(4400);
    await untilReason(house, 'alice', 'DISCONNECT');
  });

  test('that is gone before it is attached is detached nevertheless', async () => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const update = vi.spyOn(house.store, 'update');
    const attaching = new Promise<void>((resolve) => {
      update.mockImplementationOnce(async (...args) => {
        update.mockRestore();
        resolve();
        wire.reset();
        // The store takes its time, and the close is seen meanwhile.
        await untilSockets(house, 0);
        return house.store.update(...args);
      });
    });
    const wire = new Wire(house.socketUrl);
    await wire.init({ authorization: `Bearer ${token}` });
    await attaching;
    await expect.poll(() => attachedOf(house, 'alice')).toEqual([false]);
  });
});

describe('signs of life', () => {
  /** Does something at the last moment; was it a sign of life? */
  const keepsAlive = async (act: (wire: Wire) => Promise<unknown>): Promise<boolean> => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = await Wire.as(house.socketUrl, token, { autoPong: false });
    await house.pass(390_000);
    await act(wire);
    await house.pass(15_000);
    return (await house.status('alice')) === 'ONLINE';
  };

  test('are a ping frame, a ping message, an operation, its end, and a heartbeat', async () => {
    expect(await keepsAlive((wire) => wire.roundTrip())).toBe(true);
    expect(await keepsAlive((wire) => (wire.send({ type: 'ping' }), wire.next()))).toBe(true);
    expect(await keepsAlive((wire) => wire.ask('{ __typename }'))).toBe(true);
    expect(await keepsAlive((wire) => wire.ask('mutation { heartbeat { heartbeatIntervalMs } }'))).toBe(true);
  });

  test('are none: silence', async () => {
    expect(await keepsAlive(async () => undefined)).toBe(false);
  });

  test.each<[string, (wire: Wire) => void]>([
    ['a pong frame', (wire) => wire.ws.pong()],
    ['a pong message', (wire) => wire.send({ type: 'pong' })],
    ['a pong message in another order', (wire) => wire.send({ payload: { type: 'ping' }, type: 'pong' })],
  ])('are none: %s', async (_what, act) => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = await Wire.as(house.socketUrl, token, { autoPong: false });
    await house.pass(390_000);
    act(wire);
    // The server reads in order: when it knows of the close it has seen the pong.
    wire.ws.close();
    await untilReason(house, 'alice', 'DISCONNECT');
    const [alice] = await house.store.read(['alice' as never]);
    const [session] = alice?.sessions ?? [];
    expect(session?.lastSeenAt).toBeLessThan((session?.loggedInAt ?? 0) + 390_000);
  });

  test.each([
    '{ __typename }',
    'mutation { heartbeat { heartbeatIntervalMs } }',
    'mutation { beat: heartbeat(input: { appState: BACKGROUND }) { heartbeatIntervalMs } }',
  ])('are told to the store once for each message: %s', async (query) => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = await Wire.as(house.socketUrl, token);
    const update = vi.spyOn(house.store, 'update');
    await wire.ask(query);
    expect(update).toHaveBeenCalledTimes(1);
  });

  test.each<[string, string, Record<string, unknown>?]>([
    ['that skips itself', 'mutation { heartbeat @skip(if: true) { heartbeatIntervalMs } }'],
    [
      'whose variables do not fit',
      'mutation ($input: HeartbeatInput) { heartbeat(input: $input) { heartbeatIntervalMs } }',
      { input: 1 },
    ],
    ['that is a query', '{ heartbeat: __typename }'],
  ])('are also a heartbeat %s', async (_what, query, variables) => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = await Wire.as(house.socketUrl, token);
    await house.pass(390_000);
    await wire.ask(query, variables);
    await house.pass(15_000);
    expect(await house.reasons('alice')).toEqual(['LOGIN']);
  });

  test.each(['{"type":"ping"}', '{ "type": "ping" }'])('and an answer, however they are spelt: %s', async (ping) => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = new Wire(house.socketUrl);
    await wire.opened;
    wire.ws.send(ping);
    expect(await wire.next()).toEqual({ type: 'pong' });
    await wire.init({ authorization: `Bearer ${token}` });
    expect((await wire.next()).type).toBe('connection_ack');
    await house.pass(390_000);
    wire.ws.send(ping);
    expect(await wire.next()).toEqual({ type: 'pong' });
    await house.pass(15_000);
    expect(await house.reasons('alice')).toEqual(['LOGIN']);
    await house.post('mutation { logout { userStatus { version } } }', token);
    expect((await wire.closed).code).toBe(4410);
    expect(wire.unread).toEqual([]);
  });

  test('are not lost when many come at once', async () => {
    const house = await House.open();
    const { token } = await house.login('alice', 'IPHONE');
    const wire = await Wire.as(house.socketUrl, token);
    const life = vi.spyOn(house.porchlight.tracker, 'life');
    await house.pass(390_000);
    for (let count = 0; count < 200; count++) wire.ws.ping();
    await wire.roundTrip();
    await house.pass(390_000);
    expect(await house.reasons('alice')).toEqual(['LOGIN']);
    expect(life.mock.calls.length).toBeLessThan(200);
  });
});

describe('a user’s socket that logs in', () => {
  test('is attached to the session, moves on to the next, and is not closed by its own login', async () => {
    const house = await House.open();
    const wire = await Wire.as(house.socketUrl, await house.jwt('alice'));
    expect((await wire.ask('{ me { id } }')).payload?.['errors']).toMatchObject([
      { extensions: { code: 'UNAUTHENTICATED' } },
    ]);
    const first = sessionOf(await wire.ask(LOGIN, { input: { platform: 'IPHONE', deviceId: 'phone' } }));
    expect(await wire.ask('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: first.id, attached: true } } },
    });
    const again = sessionOf(await wire.ask(LOGIN, { input: { platform: 'IPHONE', deviceId: 'phone' } }));
    const second = sessionOf(await wire.ask(LOGIN, { input: { platform: 'WEB' } }));
    expect(await wire.ask('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: second.id, attached: true } } },
    });
    expect(again.id).not.toBe(first.id);
    expect(await house.reasons('alice')).toEqual(['LOGIN', 'LOGIN', 'REPLACED', 'LOGIN', 'KICKED']);
    wire.reset();
    await untilReason(house, 'alice', 'DISCONNECT');
  });

  test('and is gone before the store has heard of it leaves nobody attached', async () => {
    const house = await House.open();
    const jwt = await house.jwt('alice');
    const wire = await Wire.as(house.socketUrl, jwt);
    const login = vi.spyOn(house.porchlight.tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      wire.reset();
      await untilSockets(house, 0);
      return house.porchlight.tracker.login(...args);
    });
    wire.subscribe(LOGIN, { input: { platform: 'IPHONE' } });
    await untilReason(house, 'alice', 'DISCONNECT');
    expect(await attachedOf(house, 'alice')).toEqual([false]);
  });

  test('and loses the session before it has the reply gets the reply, then the reason', async () => {
    const house = await House.open();
    const wire = await Wire.as(house.socketUrl, await house.jwt('alice'));
    const { tracker } = house.porchlight;
    const login = vi.spyOn(tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      const answer = await tracker.login(...args);
      await tracker.logout({ userId: args[0], sessionId: answer.session.id });
      return answer;
    });
    expect(sessionOf(await wire.ask(LOGIN, { input: { platform: 'IPHONE' } })).id).toBeTypeOf('string');
    expect(await wire.closed).toEqual({ code: 4410, reason: 'LOGOUT' });
  });

  test('at the moment it loses the session before stays open', async () => {
    const house = await House.open();
    const wire = await Wire.as(house.socketUrl, await house.jwt('alice'));
    const first = sessionOf(await wire.ask(LOGIN, { input: { platform: 'IPHONE' } }));
    const { tracker } = house.porchlight;
    const login = vi.spyOn(tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      await tracker.logout({ userId: args[0], sessionId: first.id as never });
      return tracker.login(...args);
    });
    const second = sessionOf(await wire.ask(LOGIN, { input: { platform: 'IPHONE' } }));
    expect(await wire.ask('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: second.id, attached: true } } },
    });
  });
});
