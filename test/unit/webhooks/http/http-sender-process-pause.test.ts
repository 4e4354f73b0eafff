/** A sender after a process pause: a response that arrived meanwhile is unread in the socket. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { createSender, sendDelivery } from '../support/http-receivers.ts';

const TIMEOUT_MS = 300;

/** In a separate process: reports its URL, then that it got the request, and then responds. */
const RECEIVER = `
  const server = require('node:http').createServer((request, response) => {
    process.send('asked', () => response.end());
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
`;

it('accepts a response that arrived in time, even if it is read after the timeout', async () => {
  const receiver = spawn(process.execPath, ['-e', RECEIVER], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  onTestFinished(() => void receiver.kill());
  const [port] = (await once(receiver, 'message')) as [number];
  const attempt = sendDelivery(createSender({ timeoutMs: TIMEOUT_MS }), `http://127.0.0.1:${port}/`);
  await once(receiver, 'message');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TIMEOUT_MS * 4);
  expect(await attempt).toMatchObject({ status: 200, error: null });
});
