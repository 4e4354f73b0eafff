/** 10,000 sockets that never authenticate. PORCHLIGHT_SILENT_SOCKETS sets another number, for a faster run. */
import { connect, type Socket as TcpSocket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { postForData, GraphqlSocket, UPGRADE_REQUEST } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight } from '../../support/porchlight-process.ts';
import { logIn } from '../support/users.ts';

const SOCKET_COUNT = Number(process.env['PORCHLIGHT_SILENT_SOCKETS'] ?? 10_000);
/** Limited by the kernel's accept backlog. */
const BATCH_SIZE = 200;
/** The first byte of a close frame: FIN and opcode. A length byte and the code follow. */
const CLOSE_FRAME = 0x88;
const INIT_TIMEOUT_CODE = 4408;

interface UnauthenticatedSocket {
  readonly open: Promise<void>;
  /** The code of the close frame. */
  readonly closed: Promise<number>;
}

const openUnauthenticatedSocket = (port: number): UnauthenticatedSocket => {
  const socket: TcpSocket = connect({ port, host: '127.0.0.1' });
  onTestFinished(() => void socket.destroy());
  let opened = (): void => undefined;
  const open = new Promise<void>((resolve) => (opened = resolve));
  const closed = new Promise<number>((resolve, reject) => {
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('The socket was closed without a close frame.')));
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

test(
  'closes 10,000 unauthenticated sockets with 4408 while other clients are served',
  { timeout: 120_000 },
  async () => {
    await using server = await startPorchlight({ env: { PORCHLIGHT_MAX_SOCKETS_PER_ADDRESS: '0' } });
    const device = await logIn(server, 'alice', 'IPHONE');
    const socket = await GraphqlSocket.open(server, device.token);
    const sockets: UnauthenticatedSocket[] = [];
    while (sockets.length < SOCKET_COUNT) {
      const more = Array.from({ length: Math.min(BATCH_SIZE, SOCKET_COUNT - sockets.length) }, () =>
        openUnauthenticatedSocket(server.port),
      );
      await Promise.all(more.map(({ open }) => open));
      sockets.push(...more);
      if (sockets.length % 1_000 === 0) {
        await socket.executeForData(HEARTBEAT);
        await logIn(server, `user ${sockets.length}`, 'WEB');
      }
    }
    const codes = await Promise.all(sockets.map(({ closed }) => closed));
    expect(codes.filter((code) => code !== INIT_TIMEOUT_CODE)).toEqual([]);
    expect(codes).toHaveLength(SOCKET_COUNT);
    await socket.executeForData(HEARTBEAT);
    const another = await GraphqlSocket.open(server, await mintToken('bob'));
    await expect.poll(() => postForData(server, server.apiKey, STATS)).toEqual({ stats: { sockets: 2 } });
    await another.close();
    await socket.close();
  },
);
