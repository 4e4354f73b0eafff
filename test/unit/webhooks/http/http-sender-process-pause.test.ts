/** A courier whose own process stood still: what was answered meanwhile lies there unread. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it, onTestFinished } from 'vitest';
import { createSender, sendDelivery } from '../support/http-receivers.ts';

const TIMEOUT_MS = 300;

/** In a process of its own: says where it is, then that it was asked; then it answers. */
const RECEIVER = `
  const server = require('node:http').createServer((request, response) => {
    process.send('asked', () => response.end());
  });
  server.listen(0, '127.0.0.1', () => process.send(server.address().port));
`;

it('an answer that came in time is heard, though the time is over when it is read', async () => {
  const receiver = spawn(process.execPath, ['-e', RECEIVER], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  onTestFinished(() => void receiver.kill());
  const [port] = (await once(receiver, 'message')) as [number];
  const attempt = sendDelivery(createSender({ timeoutMs: TIMEOUT_MS }), `http://127.0.0.1:${port}/`);
  await once(receiver, 'message');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TIMEOUT_MS * 4);
  expect(await attempt).toMatchObject({ status: 200, error: null });
});
