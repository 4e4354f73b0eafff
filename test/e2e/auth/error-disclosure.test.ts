/** Internal errors disclose nothing, whatever NODE_ENV is. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight } from '../../support/porchlight-process.ts';

const LOGIN = 'mutation { login(input: { platform: WEB }) { sessionToken } }';
const CAUSE = 'the disk of the tests is broken';

test.each(['development', 'production', undefined])(
  'discloses no cause of an internal error with NODE_ENV=%s',
  async (environment) => {
    await using server = await startPorchlight({ env: { NODE_ENV: environment, PORCHLIGHT_LOG_LEVEL: 'debug' } });
    const jwt = await mintToken('alice');
    const socket = await GraphqlSocket.open(server, jwt);
    const database = new Database(join(server.directory, 'porchlight.db'));
    database.exec(`CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, '${CAUSE}'); END`);
    database.close();

    const post = async (path: string, accept: string, body: string): Promise<string> => {
      const headers = { 'content-type': 'application/json', accept, authorization: `Bearer ${jwt}` };
      return (await fetch(`${server.origin}${path}`, { method: 'POST', headers, body })).text();
    };
    const requestBody = JSON.stringify({ query: LOGIN });
    for (const answer of [
      await post('/graphql', 'application/json', requestBody),
      await post('/graphql', 'application/graphql-response+json', requestBody),
      await post('/graphql?by=yoga', 'application/json', requestBody),
      await post('/graphql', 'text/event-stream', requestBody),
      JSON.stringify(await socket.execute(LOGIN)),
    ]) {
      expect(answer).toContain('"message":"Nothing can be written at the moment. Try again later."');
      expect(answer).toContain('"extensions":{"code":"OVERLOADED","retryAfterMs":1000}');
      expect(answer).not.toMatch(/broken|sqlite|trigger|stack|originalError|\.(js|ts):\d/i);
    }
    // The log contains the cause for the operator.
    expect(server.output()).toContain(CAUSE);
    // Answers to invalid requests describe only the request.
    for (const body of ['{', '[]', '{"query":"{"}', '{"query":"{ x }"}']) {
      expect(await post('/graphql?by=yoga', 'application/json', body)).not.toMatch(/stack|originalError|\.(js|ts):\d/);
    }
  },
);
