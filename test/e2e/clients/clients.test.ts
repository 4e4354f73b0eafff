/**
 * Sends the recorded requests of GraphQL clients and tools over TCP. Each must get the answer that its user needs, or a
 * refusal that says what to do. docs/clients.md has a table of the clients.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { dataOf, postForData, type GraphqlResult } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { endSessions, logIn, startSharedServer, type Status } from '../support/users.ts';
import { RawConnection } from './support/raw-connection.ts';
import { RawResponse } from './support/raw-response.ts';
import { encodeMessage, encodePingFrame, readMessage, readPongFrame } from './support/raw-websocket.ts';
import {
  nameTestOf,
  RECORDED_USER,
  RECORDING_NAMES,
  readRecording,
  type ExpectedRefusal,
  type RecordedHttpRequest,
  type RecordedPing,
  type RecordedRequest,
  type RecordedWebSocket,
} from './support/recording.ts';

/** The origins of Altair’s desktop app and of Hoppscotch. */
const ORIGINS = 'electron://altair,https://hoppscotch.io';

const server = startSharedServer({ env: { PORCHLIGHT_ALLOWED_ORIGINS: ORIGINS } });

interface QueryResult {
  readonly userStatus: { readonly userId: string; readonly status: Status };
}

interface LoginResult {
  readonly login: { readonly sessionToken: string; readonly session: { readonly platform: string } };
}

interface ChangesResult {
  readonly statusChanges: readonly { readonly userId: string; readonly status: Status }[];
}

/** Reads the next result of an operation. */
type ResultReader = <T>() => Promise<GraphqlResult<T>>;

beforeEach(() => endSessions(server, { userId: RECORDED_USER }));

describe.each(RECORDING_NAMES)('the server, to recorded requests of %s,', (name) => {
  const { requests, ping } = readRecording(name);
  it.each(requests.map((request, index) => [nameTestOf(request, index), request] as const))(
    '%s',
    async (_, request) => {
      using connection = await RawConnection.open(server.origin);
      const replacePlaceholders = await createReplacer();
      connection.write(`${replacePlaceholders(request.head.join('\r\n'))}\r\n\r\n`);
      if (!('messages' in request)) await checkHttp(connection, request, replacePlaceholders);
      else {
        await checkWebSocket(connection, request, replacePlaceholders);
        if (ping !== undefined && request.expect === undefined) await checkPing(connection, ping);
      }
    },
  );
});

const createReplacer = async (): Promise<(text: string) => string> => {
  const { host } = new URL(server.origin);
  const token = await mintToken(RECORDED_USER);
  return (text) => text.replaceAll('{{host}}', host).replaceAll('{{token}}', token);
};

type Replacer = (text: string) => string;

const checkHttp = async (
  connection: RawConnection,
  request: RecordedHttpRequest,
  replacePlaceholders: Replacer,
): Promise<void> => {
  connection.write(replacePlaceholders(request.body));
  const response = await RawResponse.read(connection);
  if (request.expect === undefined) {
    expect(response.status).toBe(200);
    await checkAnswer(request, () => response.readResult());
  } else await checkHttpRefusal(response, request.expect);
};

const checkHttpRefusal = async (response: RawResponse, { error, status = 200 }: ExpectedRefusal): Promise<void> => {
  expect(response.status).toBe(status);
  const message = (await response.readResult()).errors?.[0]?.message;
  if (error === undefined) expect(message).toMatch(/^\S+( \S+){5,}\.$/);
  else expect(message).toBe(error);
  // graphql-sse shows the status text, not the body.
  if (status === 405) expect(response.statusText).toBe(message);
};

const checkWebSocket = async (
  connection: RawConnection,
  request: RecordedWebSocket,
  replacePlaceholders: Replacer,
): Promise<void> => {
  const upgrade = await RawResponse.read(connection);
  expect(upgrade.status).toBe(101);
  const [init = '', ...operations] = request.messages;
  const send = (message: string | readonly string[]): void =>
    connection.write(encodeMessage([message].flat().map(replacePlaceholders)));
  send(init);
  if (request.expect?.closeCode === undefined) {
    expect(upgrade.header('sec-websocket-protocol')).toBe('graphql-transport-ws');
    expect(await readMessage(connection)).toBe('{"type":"connection_ack"}');
    operations.forEach(send);
    await checkAnswer(request, () => readNext(connection));
  } else {
    operations.forEach(send);
    let message = await readMessage(connection);
    while (typeof message === 'string') message = await readMessage(connection);
    expect(message.closeCode).toBe(request.expect.closeCode);
    expect(message.reason).not.toBe('');
  }
};

/** A client such as graphql-ws sends its next ping after the pong. */
const checkPing = async (connection: RawConnection, ping: RecordedPing): Promise<void> => {
  if ('message' in ping) {
    connection.write(encodeMessage([ping.message]));
    // Over a WebSocket, a query or a login completes after its answer.
    let message = await readMessage(connection);
    while (typeof message === 'string' && message.includes('"complete"')) message = await readMessage(connection);
    expect(message).toMatch(/^\{"type":"pong"/);
  } else {
    connection.write(encodePingFrame(ping.frame));
    expect(await readPongFrame(connection)).toBe(ping.frame);
  }
};

const readNext = async <T>(connection: RawConnection): Promise<GraphqlResult<T>> => {
  const message = await readMessage(connection);
  if (typeof message !== 'string') throw new Error(`Closed with ${message.closeCode} ${message.reason}`);
  const { type, payload } = JSON.parse(message) as { readonly type: string; readonly payload: GraphqlResult<T> };
  if (type !== 'next') throw new Error(`Not a result: ${message}`);
  return payload;
};

/** Checks that the answer is what the user of the client needs. */
const checkAnswer = async ({ operation }: RecordedRequest, readResult: ResultReader): Promise<void> => {
  if (operation === 'query') {
    const { userStatus } = dataOf(await readResult<QueryResult>());
    expect(userStatus).toMatchObject({ userId: RECORDED_USER, status: 'OFFLINE' });
  } else if (operation === 'login') {
    const { login } = dataOf(await readResult<LoginResult>());
    expect(login.session.platform).toBe('ANDROID');
    expect(await postForData(server, login.sessionToken, '{ me { deviceId } }')).toEqual({
      me: { deviceId: 'recorded' },
    });
  } else {
    expect(dataOf(await readResult<ChangesResult>()).statusChanges).toMatchObject([{ status: 'OFFLINE' }]);
    await logIn(server, RECORDED_USER, 'IPHONE');
    expect(dataOf(await readResult<ChangesResult>()).statusChanges).toMatchObject([
      { userId: RECORDED_USER, status: 'ONLINE' },
    ]);
  }
};
