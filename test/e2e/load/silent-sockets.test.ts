/** Ten thousand sockets that never say who they are. PORCHLIGHT_SILENT_SOCKETS: how many of them, if it is to be quicker. */
import { connect, type Socket as TcpSocket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { postForData, GraphqlSocket, UPGRADE_REQUEST } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight } from '../../support/porchlight-process.ts';
import { logIn } from '../support/users.ts';

const HOW_MANY = Number(process.env['PORCHLIGHT_SILENT_SOCKETS'] ?? 10_000);
/** As fast as the kernel's queue of those not yet accepted takes them. */
const AT_ONCE = 200;
/** Of a close frame: FIN, close, and its length; then the code. */
const CLOSE_FRAME = 0x88;
const TOO_LATE = 4408;

interface Silent {
  readonly open: Promise<void>;
  /** The code it was closed with. */
  readonly closed: Promise<number>;
}

const silent = (port: number): Silent => {
  const socket: TcpSocket = connect({ port, host: '127.0.0.1' });
  onTestFinished(() => void socket.destroy());
  let opened = (): void => undefined;
  const open = new Promise<void>((resolve) => (opened = resolve));
  const closed = new Promise<number>((resolve, reject) => {
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('It was closed without a word.')));
    socket.on('data', (data) => {
      if (data.toString('latin1').startsWith('HTTP/1.1 101')) opened();
      const at = data.lastIndexOf(CLOSE_FRAME);
      if (at < 0 || data.length < at + 4) return;
      resolve(data.readUInt16BE(at + 2));
      socket.destroy();
    });
  });
  socket.write(UPGRADE_REQUEST);
  return { open, closed };
};

const HEARTBEAT = 'mutation { heartbeat { heartbeatIntervalMs } }';
const STATS = '{ stats { sockets } }';

test('are closed with 4408, each of them, while others are served', { timeout: 120_000 }, async () => {
  await using server = await startPorchlight({ env: { PORCHLIGHT_MAX_SOCKETS_PER_ADDRESS: '0' } });
  const device = await logIn(server, 'alice', 'IPHONE');
  const socket = await GraphqlSocket.open(server, device.token);
  const sockets: Silent[] = [];
  while (sockets.length < HOW_MANY) {
    const more = Array.from({ length: Math.min(AT_ONCE, HOW_MANY - sockets.length) }, () => silent(server.port));
    await Promise.all(more.map(({ open }) => open));
    sockets.push(...more);
    if (sockets.length % 1_000 === 0) {
      await socket.executeForData(HEARTBEAT);
      await logIn(server, `user ${sockets.length}`, 'WEB');
    }
  }
  const codes = await Promise.all(sockets.map(({ closed }) => closed));
  expect(codes.filter((code) => code !== TOO_LATE)).toEqual([]);
  expect(codes).toHaveLength(HOW_MANY);
  await socket.executeForData(HEARTBEAT);
  const another = await GraphqlSocket.open(server, await mintToken('bob'));
  await expect.poll(() => postForData(server, server.apiKey, STATS)).toEqual({ stats: { sockets: 2 } });
  await another.close();
  await socket.close();
});
