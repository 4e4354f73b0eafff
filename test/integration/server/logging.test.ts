/** What is logged of requests, operations and sockets. */
import { expect, test, vi } from 'vitest';
import { Operations } from '../../../src/server/metrics/operation-recorder.ts';
import { API_KEY, ServerHarness } from './support/server-harness.ts';
import { TestSocket } from './support/wire.ts';

const lines = (harness: ServerHarness, msg: string): Record<string, unknown>[] =>
  harness.logged.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => line['msg'] === msg);

test('an operation: by which request, of whom, what and how long, and nothing that the client chose', async () => {
  const harness = await ServerHarness.open();
  const { token } = await harness.login('alice');
  harness.logged.length = 0;
  const query = 'query Chosen($id: ID!) { mine: me { id } userStatus(userId: $id) { status } }';
  await harness.post(query, token, { id: 'a-chosen-id' }, { 'x-request-id': 'trace-me.1' });
  const wire = await TestSocket.as(harness.socketUrl, API_KEY);
  await wire.ask('{ me { id } }');
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
  expect(logged[1]?.['link']).toEqual(expect.any(String));
  for (const { ms } of logged) expect(ms).toEqual(expect.any(Number));
  for (const word of ['alice', 'Chosen', 'mine', 'a-chosen-id', 'nonsense', token, API_KEY]) {
    expect(harness.logged.join('')).not.toContain(word);
  }
});

test('a socket: when it opens and when it closes, and why', async () => {
  const harness = await ServerHarness.open();
  const wire = await TestSocket.as(harness.socketUrl, API_KEY);
  wire.send({ type: 'connection_init' });
  await wire.closed;
  await expect.poll(() => lines(harness, 'A socket closed.')).toMatchObject([{ code: 4429, caller: 'backend' }]);
  const [opened] = lines(harness, 'A socket opened.');
  expect(opened?.['link']).toBe(lines(harness, 'A socket closed.')[0]?.['link']);
});

test('a request, but neither a name that would forge a line nor a path that may hold a credential', async () => {
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
  expect(harness.logged.join('')).not.toContain('a-credential');
});

test('an operation that took a second, at whatever level', async () => {
  const harness = await ServerHarness.open();
  const begin = vi.spyOn(Operations.prototype, 'begin').mockImplementation(() => performance.now() - 1_500);
  await harness.post('{ stats { sockets } }');
  begin.mockRestore();
  expect(lines(harness, 'An operation was slow.')).toMatchObject([{ level: 40, fields: ['stats'] }]);
});
