/** A thousand connections come while the server stands still: none of them has to come again. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startPorchlight } from '../../support/porchlight-process.ts';

const CONNECTIONS = 1_000;
const REQUEST = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

test('connections wait to be accepted, as many as come in a storm, and are answered', { timeout: 30_000 }, async () => {
  await using server = await startPorchlight();
  const { port, hostname } = new URL(server.origin);
  server.signal('SIGSTOP');
  const sockets = Array.from({ length: CONNECTIONS }, () => connect(Number(port), hostname));
  try {
    // Where there is no place for it, a connection is not there before the server takes others.
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    const answers = sockets.map((socket) => text(socket));
    for (const socket of sockets) socket.write(REQUEST);
    server.signal('SIGCONT');
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1.1 200 /);
  } finally {
    server.signal('SIGCONT');
    for (const socket of sockets) socket.destroy();
  }
});
