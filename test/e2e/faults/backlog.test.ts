/** 1,000 connections arrive while the process is stopped: the kernel's accept backlog holds all of them. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startPorchlight } from '../../support/porchlight-process.ts';

const CONNECTIONS = 1_000;
const REQUEST = 'GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

test(
  '1,000 connections made while the process is stopped are accepted and answered afterwards',
  { timeout: 30_000 },
  async () => {
    await using server = await startPorchlight();
    const { port, hostname } = new URL(server.origin);
    server.signal('SIGSTOP');
    const sockets = Array.from({ length: CONNECTIONS }, () => connect(Number(port), hostname));
    try {
      // A connection beyond the backlog would not be established before the server accepts others.
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
      const answers = sockets.map((socket) => text(socket));
      for (const socket of sockets) socket.write(REQUEST);
      server.signal('SIGCONT');
      for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1.1 200 /);
    } finally {
      server.signal('SIGCONT');
      for (const socket of sockets) socket.destroy();
    }
  },
);
