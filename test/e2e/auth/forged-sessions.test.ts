/** The token of a session is known to the one it was told; every other text is nobody's. */
import { describe, expect, test, vi } from 'vitest';
import { ask, codeOf, gql, Socket } from '../../support/porchlight-client.ts';
import { logIn, logOut, newUser, sharedServer, type Device } from '../support/users.ts';

vi.setConfig({ maxConcurrency: 20 });

const server = sharedServer();
const ME = '{ me { id } }';

const answerTo = async (token: string): Promise<string | null> => codeOf(await gql(server, token, ME));

describe.concurrent('a session token', () => {
  test('is good as it is, and with any letter changed it is not', async () => {
    const { token, sessionId } = await logIn(server, newUser(), 'IPHONE');
    expect(await ask(server, token, ME)).toEqual({ me: { id: sessionId } });
    const changed = Array.from(token, (letter, at) =>
      ['A', 'b', '0', '-']
        .filter((other) => other !== letter)
        .map((other) => token.slice(0, at) + other + token.slice(at + 1)),
    ).flat();
    for (let from = 0; from < changed.length; from += 50) {
      const batch = changed.slice(from, from + 50);
      expect(await Promise.all(batch.map(answerTo))).toEqual(batch.map(() => 'UNAUTHENTICATED'));
    }
  });

  test('is not good shorter, longer or in another case', async () => {
    const { token } = await logIn(server, newUser(), 'IPHONE');
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
    expect(await Promise.all(texts.map(answerTo))).toEqual(texts.map(() => 'UNAUTHENTICATED'));
  });

  test('cannot be put together from those of others: another user, another session, another secret', async () => {
    const user = newUser();
    const mine = await logIn(server, user, 'IPHONE');
    const others: Device[] = [];
    // Of somebody else, of the same user but ended, and of a user with a name that is nearly the same.
    others.push(await logIn(server, newUser(), 'IPHONE'), await logIn(server, `${user}x`, 'IPHONE'));
    const ended = await logIn(server, newUser(), 'IPHONE');
    await logOut(server, ended);
    others.push(ended);
    for (const other of others) {
      const [one, two] = [mine.token.split('.'), other.token.split('.')];
      expect(one.length).toBe(two.length);
      expect(one.length).toBeGreaterThan(1);
      for (let mask = 1; mask < 2 ** one.length - 1; mask++) {
        const mixed = one.map((part, at) => (mask & (1 << at) ? part : two[at])).join('.');
        expect([mixed, await answerTo(mixed)]).toEqual([mixed, 'UNAUTHENTICATED']);
      }
    }
  });

  test('the session’s id, which others may see, is no token', async () => {
    const { sessionId, deviceId, userId } = await logIn(server, newUser(), 'IPHONE');
    for (const text of [sessionId, deviceId, userId]) expect(await answerTo(text)).toBe('UNAUTHENTICATED');
  });

  test('an ended one tells why only to the right secret', async () => {
    const { token } = await logIn(server, newUser(), 'IPHONE');
    await gql(server, token, 'mutation { logout { userStatus { status } } }');
    expect(await answerTo(token)).toBe('SESSION_ENDED');
    const last = token.at(-1) === 'A' ? 'B' : 'A';
    expect(await answerTo(token.slice(0, -2) + last + token.slice(-1))).toBe('UNAUTHENTICATED');
  });

  test('a forged one opens no socket', async () => {
    const { token } = await logIn(server, newUser(), 'IPHONE');
    for (const forged of [token.slice(0, -1), `${token}A`, token.toLowerCase()]) {
      const socket = new Socket(server);
      await socket.init(forged);
      expect((await socket.closed).code).toBe(4401);
    }
  });

  test('is not written into the log of events, nor shown to backends', async () => {
    const { token, userId } = await logIn(server, newUser(), 'IPHONE');
    const query = `query ($userId: ID!) {
      events(userId: $userId) { nodes { sessionId deviceId cursor changeId } }
      userStatus(userId: $userId) { sessions { id deviceId } } }`;
    const shown = JSON.stringify(await ask(server, server.apiKey, query, { userId }));
    expect(shown).toContain('sessionId');
    expect(shown).not.toContain(token.slice(-43));
  });
});
