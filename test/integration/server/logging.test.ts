/** Log lines of requests, operations and sockets. */
import { expect, test, vi } from 'vitest';
import { OperationRecorder } from '../../../src/server/metrics/operation-recorder.ts';
import { API_KEY, ServerHarness } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

const lines = (harness: ServerHarness, msg: string): Record<string, unknown>[] =>
  harness.logLines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line['msg'] === msg);

test('logs the request id, caller, fields, error codes and duration of an operation, and no text that the client chose', async () => {
  const harness = await ServerHarness.open();
  const { token } = await harness.login('alice');
  harness.logLines.length = 0;
  const query = 'query Chosen($id: ID!) { mine: me { id } userStatus(userId: $id) { status } }';
  await harness.post(query, token, { id: 'a-chosen-id' }, { 'x-request-id': 'trace-me.1' });
  const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
  await socket.execute('{ me { id } }');
  await harness.post('{ nonsense }');
  await fetch(`${harness.url}/graphql?query={stats{sockets}}`, { headers: { authorization: `Bearer ${API_KEY}` } });
  const logged = lines(harness, 'operation');
  expect(logged).toMatchObject([
    { requestId: 'trace-me.1', caller: 'session', kind: 'query', fields: ['me', 'userStatus'] },
    { caller: 'backend', kind: 'query', fields: ['me'], codes: ['UNAUTHENTICATED'] },
    { caller: 'backend', codes: ['GRAPHQL_VALIDATION_FAILED'] },
    { caller: 'backend', kind: 'query', fields: ['stats'] },
  ]);
  expect(logged[0]?.['user']).toMatch(/^[0-9a-f]{12}$/);
  expect(logged[1]?.['socket']).toEqual(expect.any(String));
  for (const { ms } of logged) expect(ms).toEqual(expect.any(Number));
  for (const word of ['alice', 'Chosen', 'mine', 'a-chosen-id', 'nonsense', token, API_KEY]) {
    expect(harness.logLines.join('')).not.toContain(word);
  }
});

test('logs the opening of a socket and its closing with the code and caller', async () => {
  const harness = await ServerHarness.open();
  const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
  socket.send({ type: 'connection_init' });
  await socket.closed;
  await expect.poll(() => lines(harness, 'A WebSocket was closed')).toMatchObject([{ code: 4429, caller: 'backend' }]);
  const [opened] = lines(harness, 'A WebSocket was opened');
  expect(opened?.['socket']).toBe(lines(harness, 'A WebSocket was closed')[0]?.['socket']);
});

test('logs a request without an unsafe x-request-id and without a path that may contain a credential', async () => {
  const harness = await ServerHarness.open();
  for (const id of ['a b', '\u001b[31m', 'x'.repeat(65), '{"level":60}', 'é']) {
    await harness
      .post('{ stats { sockets } }', API_KEY, undefined, { 'x-request-id': encodeURI(id) })
      .catch(() => null);
  }
  await fetch(`${harness.url}/plk_a-credential-in-a-path?and=a-credential-in-a-query`);
  await expect.poll(() => lines(harness, 'request').length).toBe(6);
  for (const line of lines(harness, 'request')) expect(line['requestId']).toMatch(/^[0-9a-f-]{36}$/);
  expect(lines(harness, 'request').at(-1)).toMatchObject({ path: 'other', status: 404 });
  expect(harness.logLines.join('')).not.toContain('a-credential');
});

test('logs an operation of more than one second as a warning', async () => {
  const harness = await ServerHarness.open();
  const begin = vi
    .spyOn(OperationRecorder.prototype, 'startTiming')
    .mockImplementation(() => performance.now() - 1_500);
  await harness.post('{ stats { sockets } }');
  begin.mockRestore();
  expect(lines(harness, 'An operation took 1 s or longer')).toMatchObject([{ level: 'warn', fields: ['stats'] }]);
});
