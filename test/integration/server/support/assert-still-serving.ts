/** The check after every attack: a normal client is still served over both transports. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';
import type { ServerHarness } from './server-harness.ts';
import { TestSocket } from './test-socket.ts';

let userCount = 0;

/** Runs a login, a query, a heartbeat and a logout. Then checks that the server logged no internal error. */
export const expectStillServing = async (harness: ServerHarness): Promise<void> => {
  const user = `normal user ${++userCount}`;
  const { token } = await harness.login(user);
  expect(await harness.status(user)).toBe('ONLINE');
  const socket = await TestSocket.connect(harness.socketUrl, token);
  expect((await socket.execute('mutation { heartbeat { heartbeatIntervalMs } }')).type).toBe('next');
  expect((await socket.execute('mutation { logout { userStatus { status } } }')).payload?.['data']).toEqual({
    logout: { userStatus: { status: 'OFFLINE' } },
  });
  await socket.closed;
  await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
  expect(loggedErrorsOf(harness)).toEqual([]);
};

/** The log lines of level error or fatal. */
export const loggedErrorsOf = ({ logLines: logged }: ServerHarness): readonly string[] =>
  logged.filter((line) => /"level":"(error|fatal)"/.test(line));

/** Sends the bytes unchanged, which fetch would not, and reads until the server closes. */
export const sendRawBytes = async (harness: ServerHarness, ...bytes: readonly (string | Buffer)[]): Promise<string> => {
  const { port, hostname } = new URL(harness.url);
  const socket = connect(Number(port), hostname);
  socket.end(Buffer.concat(bytes.map((part) => Buffer.from(part))));
  return text(socket);
};

/** The status codes of all responses in the text. */
export const parseStatuses = (answers: string): readonly number[] =>
  [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
