/** The private parts of the library `ws` that `RawWebSocket` relies on. */
import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { RawWebSocket } from '../../../../src/server/websocket/raw-websocket.ts';
import { TestSocket } from '../../../integration/server/support/test-socket.ts';

const openPair = async (maxPayload: number): Promise<{ server: RawWebSocket; client: TestSocket }> => {
  const listener = new WebSocketServer({ port: 0, host: '127.0.0.1', WebSocket: RawWebSocket, maxPayload });
  onTestFinished(() => void listener.close());
  await new Promise((resolve) => listener.once('listening', resolve));
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('The listener has no port.');
  const accepted = new Promise<RawWebSocket>((resolve) => listener.once('connection', resolve));
  const client = new TestSocket(`ws://127.0.0.1:${address.port}`, { protocols: [] });
  return { server: await accepted, client };
};

const createHandler = (messages: string[], errors: Error[]): NonNullable<RawWebSocket['handler']> => ({
  onMessage: (message) => void messages.push(message),
  onBinaryMessage: () => undefined,
  onPing: () => undefined,
  onPong: () => undefined,
  onError: (error) => void errors.push(error),
  onClosing: () => undefined,
  onClosed: () => undefined,
  onPeerStoppedSending: () => undefined,
});

test('setMaxPayload changes the limit that the frame parser of ws applies', async () => {
  const { server, client } = await openPair(10);
  const [messages, errors]: [string[], Error[]] = [[], []];
  server.handler = createHandler(messages, errors);
  expect(server._receiver._maxPayload).toBe(10);
  server.setMaxPayload(20);
  await client.opened;
  client.webSocket.send('x'.repeat(20));
  await expect.poll(() => messages).toEqual(['x'.repeat(20)]);
  client.webSocket.send('x'.repeat(21));
  expect((await client.closed).code).toBe(1009);
  expect(errors).toMatchObject([{ code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' }]);
});

test('package.json pins ws to one exact version, because a private field of it is used', () => {
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: Record<string, string> };
  expect(dependencies['ws']).toMatch(/^\d+\.\d+\.\d+$/);
});
