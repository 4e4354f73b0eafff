/** The recorder writes requests as test/e2e/clients/recordings has them. */
import { expect, it } from 'vitest';
import { mintToken } from '../../support/porchlight-process.ts';
import { startSharedServer } from '../support/users.ts';
import { RawConnection } from './support/raw-connection.ts';
import { RawResponse } from './support/raw-response.ts';
import { encodeMessage, encodePingFrame, readMessage, readPongFrame } from './support/raw-websocket.ts';
import { RECORDED_USER, readRecording, type RecordedRequest } from './support/recording.ts';
import { startRecorder } from './support/record.mjs';

const server = startSharedServer();

it.each(['curl', 'python-websockets', 'go-graphql-client'])(
  'records the answered requests of %s as they were sent',
  async (name) => {
    const token = await mintToken(RECORDED_USER);
    const recorder = await startRecorder(Number(new URL(server.origin).port), [token]);
    const host = `127.0.0.1:${recorder.port}`;
    const insert = (text: string): string => text.replaceAll('{{host}}', host).replaceAll('{{token}}', token);
    const requests = readRecording(name).requests.filter(({ expect: refusal }) => refusal === undefined);
    for (const request of requests) {
      using connection = await RawConnection.open(`http://${host}`);
      connection.write(`${insert(request.head.join('\r\n'))}\r\n\r\n`);
      if ('body' in request) connection.write(insert(request.body));
      await RawResponse.read(connection);
      if ('messages' in request) await sendMessages(connection, request.messages, insert);
    }
    expect(await recorder.stop()).toEqual(requests.map(toRawRequest));
  },
);

const sendMessages = async (
  connection: RawConnection,
  messages: readonly (string | readonly string[])[],
  insert: (text: string) => string,
): Promise<void> => {
  for (const message of messages) {
    connection.write(encodeMessage([message].flat().map(insert)));
    await readMessage(connection);
  }
  // Control frames are not recorded.
  connection.write(encodePingFrame('31'));
  await readPongFrame(connection);
};

const toRawRequest = ({ operation: _, expect: __, ...rest }: RecordedRequest): object => rest;
