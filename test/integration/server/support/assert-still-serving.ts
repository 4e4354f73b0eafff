/** What every attack is followed by: somebody who does nothing unusual is served as ever, over both doors. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';
import type { ServerHarness } from './server-harness.ts';
import { TestSocket } from './test-socket.ts';

let people = 0;

/** A login, a question, a heartbeat on a socket, a logout; and the server has not had to report a fault of its own. */
export const expectStillServing = async (harness: ServerHarness): Promise<void> => {
  const user = `somebody quite normal ${++people}`;
  const { token } = await harness.login(user);
  expect(await harness.status(user)).toBe('ONLINE');
  const wire = await TestSocket.connect(harness.socketUrl, token);
  expect((await wire.execute('mutation { heartbeat { heartbeatIntervalMs } }')).type).toBe('next');
  expect((await wire.execute('mutation { logout { userStatus { status } } }')).payload?.['data']).toEqual({
    logout: { userStatus: { status: 'OFFLINE' } },
  });
  await wire.closed;
  await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
  expect(loggedErrorsOf(harness)).toEqual([]);
};

/** What was logged as an error, or worse. */
export const loggedErrorsOf = ({ logLines: logged }: ServerHarness): readonly string[] =>
  logged.filter((line) => /"level":"(error|fatal)"/.test(line));

/** Sends bytes as they are, where fetch would tidy them up, and reads until the server closes. */
export const sendRawBytes = async (harness: ServerHarness, ...bytes: readonly (string | Buffer)[]): Promise<string> => {
  const { port, hostname } = new URL(harness.url);
  const socket = connect(Number(port), hostname);
  socket.end(Buffer.concat(bytes.map((part) => Buffer.from(part))));
  return text(socket);
};

/** The status lines of all answers in what was read. */
export const parseStatuses = (answers: string): readonly number[] =>
  [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
