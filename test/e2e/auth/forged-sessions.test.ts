/** Modified and recombined session tokens are rejected. */
import { describe, expect, test, vi } from 'vitest';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { logIn, logOut, newUserId, startSharedServer, type Device } from '../support/users.ts';

vi.setConfig({ maxConcurrency: 20 });

const server = startSharedServer();
const ME = '{ me { id } }';

const errorCodeFor = async (token: string): Promise<string | null> => codeOf(await postOperation(server, token, ME));

describe.concurrent('a session token', () => {
  test('is accepted unchanged and rejected with any letter changed', async () => {
    const { token, sessionId } = await logIn(server, newUserId(), 'IPHONE');
    expect(await postForData(server, token, ME)).toEqual({ me: { id: sessionId } });
    const changed = Array.from(token, (letter, at) =>
      ['A', 'b', '0', '-']
        .filter((other) => other !== letter)
        .map((other) => token.slice(0, at) + other + token.slice(at + 1)),
    ).flat();
    for (let from = 0; from < changed.length; from += 50) {
      const batch = changed.slice(from, from + 50);
      expect(await Promise.all(batch.map(errorCodeFor))).toEqual(batch.map(() => 'UNAUTHENTICATED'));
    }
  });

  test('is rejected when shortened, extended or in another case', async () => {
    const { token } = await logIn(server, newUserId(), 'IPHONE');
    const texts = [
      ...Array.from({ length: 10 }, (_, index) => token.slice(0, token.length - 1 - index)),
      ...Array.from({ length: 10 }, (_, index) => token.slice(index + 1)),
      token.slice(0, token.length / 2),
      `${token}A`,
      `${token}=`,
      `${token}.`,
      `A${token}`,
      token.toUpperCase(),
      token.toLowerCase(),
      token.repeat(2),
      token.repeat(50),
    ];
    expect(await Promise.all(texts.map(errorCodeFor))).toEqual(texts.map(() => 'UNAUTHENTICATED'));
  });

  test('cannot be combined from parts of several tokens', async () => {
    const user = newUserId();
    const mine = await logIn(server, user, 'IPHONE');
    const others: Device[] = [];
    // The tokens of another user, of a user with a similar id, and of an ended session.
    others.push(await logIn(server, newUserId(), 'IPHONE'), await logIn(server, `${user}x`, 'IPHONE'));
    const ended = await logIn(server, newUserId(), 'IPHONE');
    await logOut(server, ended);
    others.push(ended);
    for (const other of others) {
      const [one, two] = [mine.token.split('.'), other.token.split('.')];
      expect(one.length).toBe(two.length);
      expect(one.length).toBeGreaterThan(1);
      for (let mask = 1; mask < 2 ** one.length - 1; mask++) {
        const mixed = one.map((part, at) => (mask & (1 << at) ? part : two[at])).join('.');
        expect([mixed, await errorCodeFor(mixed)]).toEqual([mixed, 'UNAUTHENTICATED']);
      }
    }
  });

  test('cannot be replaced by the session id, device id or user id', async () => {
    const { sessionId, deviceId, userId } = await logIn(server, newUserId(), 'IPHONE');
    for (const text of [sessionId, deviceId, userId]) expect(await errorCodeFor(text)).toBe('UNAUTHENTICATED');
  });

  test('of an ended session gets SESSION_ENDED only with the correct secret', async () => {
    const { token } = await logIn(server, newUserId(), 'IPHONE');
    await postOperation(server, token, 'mutation { logout { userStatus { status } } }');
    expect(await errorCodeFor(token)).toBe('SESSION_ENDED');
    const last = token.at(-1) === 'A' ? 'B' : 'A';
    expect(await errorCodeFor(token.slice(0, -2) + last + token.slice(-1))).toBe('UNAUTHENTICATED');
  });

  test('that is modified cannot open a socket', async () => {
    const { token } = await logIn(server, newUserId(), 'IPHONE');
    for (const forged of [token.slice(0, -1), `${token}A`, token.toLowerCase()]) {
      const socket = new GraphqlSocket(server);
      await socket.init(forged);
      expect((await socket.closed).code).toBe(4401);
    }
  });

  test('appears neither in the event log nor in the sessions shown to backends', async () => {
    const { token, userId } = await logIn(server, newUserId(), 'IPHONE');
    const query = `query ($userId: ID!) {
      events(userId: $userId) { nodes { sessionId deviceId cursor changeId } }
      userStatus(userId: $userId) { sessions { id deviceId } } }`;
    const answer = JSON.stringify(await postForData(server, server.apiKey, query, { userId }));
    expect(answer).toContain('sessionId');
    expect(answer).not.toContain(token.slice(-43));
  });
});
