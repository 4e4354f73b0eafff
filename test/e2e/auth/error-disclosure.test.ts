/** However the process was started: what it tells of its own faults is the same, which is nothing. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { Socket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight } from '../../support/porchlight-process.ts';

const LOGIN = 'mutation { login(input: { platform: WEB }) { sessionToken } }';
const WHY = 'the disk of the tests is broken';

test.each(['development', 'production', undefined])('NODE_ENV=%s', async (environment) => {
  await using server = await startPorchlight({ env: { NODE_ENV: environment, PORCHLIGHT_LOG_LEVEL: 'debug' } });
  const jwt = await mintToken('alice');
  const socket = await Socket.open(server, jwt);
  const database = new Database(join(server.directory, 'porchlight.db'));
  database.exec(`CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, '${WHY}'); END`);
  database.close();

  const post = async (path: string, accept: string, body: string): Promise<string> => {
    const headers = { 'content-type': 'application/json', accept, authorization: `Bearer ${jwt}` };
    return (await fetch(`${server.origin}${path}`, { method: 'POST', headers, body })).text();
  };
  const asked = JSON.stringify({ query: LOGIN });
  for (const answer of [
    await post('/graphql', 'application/json', asked),
    await post('/graphql', 'application/graphql-response+json', asked),
    await post('/graphql?by=yoga', 'application/json', asked),
    await post('/graphql', 'text/event-stream', asked),
    JSON.stringify(await socket.execute(LOGIN)),
  ]) {
    expect(answer).toContain('"message":"Nothing can be written at the moment. Try again later."');
    expect(answer).toContain('"extensions":{"code":"OVERLOADED","retryAfterMs":1000}');
    expect(answer).not.toMatch(/broken|sqlite|trigger|stack|originalError|\.(js|ts):\d/i);
  }
  // It is not lost: whoever runs the server is told.
  expect(server.output()).toContain(WHY);
  // Of the faults of a client no more is told than what is wrong with the request.
  for (const body of ['{', '[]', '{"query":"{"}', '{"query":"{ x }"}']) {
    expect(await post('/graphql?by=yoga', 'application/json', body)).not.toMatch(/stack|originalError|\.(js|ts):\d/);
  }
});
