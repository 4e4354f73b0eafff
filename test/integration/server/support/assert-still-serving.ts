/** What every attack is followed by: somebody who does nothing unusual is served as ever, over both doors. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';
import type { ServerHarness } from './server-harness.ts';
import { TestSocket } from './wire.ts';

let people = 0;

/** A login, a question, a heartbeat on a socket, a logout; and the server has not had to report a fault of its own. */
export const expectStillWell = async (harness: ServerHarness): Promise<void> => {
  const user = `somebody quite normal ${++people}`;
  const { token } = await harness.login(user);
  expect(await harness.status(user)).toBe('ONLINE');
  const wire = await TestSocket.as(harness.socketUrl, token);
  expect((await wire.ask('mutation { heartbeat { heartbeatIntervalMs } }')).type).toBe('next');
  expect((await wire.ask('mutation { logout { userStatus { status } } }')).payload?.['data']).toEqual({
    logout: { userStatus: { status: 'OFFLINE' } },
  });
  await wire.closed;
  await expect.poll(() => harness.porchlight.socketRegistry.openSocketCount).toBe(0);
  expect(faultsOf(harness)).toEqual([]);
};

/** What was logged as an error, or worse. */
export const faultsOf = ({ logged }: ServerHarness): readonly string[] =>
  logged.filter((line) => /"level":(50|60)/.test(line));

/** Sends bytes as they are, where fetch would tidy them up, and reads until the server closes. */
export const rawly = async (harness: ServerHarness, ...bytes: readonly (string | Buffer)[]): Promise<string> => {
  const { port, hostname } = new URL(harness.url);
  const socket = connect(Number(port), hostname);
  socket.end(Buffer.concat(bytes.map((part) => Buffer.from(part))));
  return text(socket);
};

/** The status lines of all answers in what was read. */
export const statusesOf = (answers: string): readonly number[] =>
  [...answers.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
