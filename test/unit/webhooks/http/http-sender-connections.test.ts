/** Connections are reused, closed when unused, and a stale one never fails an attempt. */
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { parseWebhookId } from '../../../../src/core/ids.ts';
import { createSender, HttpReceiver, sendDelivery } from '../support/http-receivers.ts';

describe('a connection', () => {
  it('is reused after any status', async () => {
    const receiver = await HttpReceiver.startHttp((response, { request }) => {
      response.writeHead(Number(request.url?.slice(1))).end('x'.repeat(4_096));
    });
    const sender = createSender();
    for (const status of [200, 503, 302, 404, 200])
      expect(await sendDelivery(sender, `${receiver.url}${status}`)).toMatchObject({ status });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 1, 1, 1]);
  });

  it('is not reused after a body of more than 4 KiB', async () => {
    const receiver = await HttpReceiver.startHttp((response) => response.end('x'.repeat(4_097)));
    const sender = createSender();
    for (const _ of [1, 2]) expect(await sendDelivery(sender, receiver.url)).toMatchObject({ status: 200 });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  it('belongs to one webhook', async () => {
    const receiver = await HttpReceiver.startHttp();
    const sender = createSender();
    for (const id of ['wh_1', 'wh_2', 'wh_1']) await sendDelivery(sender, receiver.url, {}, { id: parseWebhookId(id) });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 2, 1]);
  });

  it('is closed after its idle time', async () => {
    const receiver = await HttpReceiver.startHttp();
    const sender = createSender({ idleMs: 50 });
    await sendDelivery(sender, receiver.url);
    const [socket] = receiver.sockets;
    if (socket === undefined) throw new Error('No connection arrived.');
    if (!socket.destroyed) await once(socket, 'close');
    expect(await sendDelivery(sender, receiver.url)).toMatchObject({ status: 200 });
    expect(receiver.sockets).toHaveLength(2);
  });

  it('is closed when the sender closes', async () => {
    const receiver = await HttpReceiver.startHttp();
    const sender = createSender({ idleMs: 3_600_000 });
    await Promise.all([sendDelivery(sender, receiver.url), sendDelivery(sender, receiver.url)]);
    const closed = receiver.sockets.map((socket) => once(socket, 'close'));
    expect(closed).toHaveLength(2);
    sender.close();
    await Promise.all(closed);
  });
});

describe('a reused connection that the receiver closes', () => {
  /** Answers the first request of the first connection, and does `how` with the second request. */
  const closing = (how: 'end' | 'reset' | 'half an answer'): Promise<HttpReceiver> =>
    HttpReceiver.startHttp((response, { connection, request: { socket } }) => {
      if (connection > 1 || !used.has(socket)) {
        used.add(socket);
        response.end();
      } else if (how === 'end') socket.end();
      else if (how === 'reset') socket.resetAndDestroy();
      else socket.end('HTTP/1.1 200');
    });
  const used = new WeakSet<object>();

  it.each(['end', 'reset'] as const)(
    'by %s before a response is replaced by a new connection without a failed attempt',
    async (how) => {
      const receiver = await closing(how);
      const sender = createSender();
      expect(await sendDelivery(sender, receiver.url)).toMatchObject({ status: 200 });
      expect(await sendDelivery(sender, receiver.url)).toMatchObject({ status: 200, error: null });
      expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 2]);
      // The same delivery with the same id.
      expect(new Set(receiver.requests.map(({ request }) => request.headers['webhook-id']))).toEqual(
        new Set(['msg_1']),
      );
    },
  );

  it('before the request starts is not used', async () => {
    const receiver = await HttpReceiver.startHttp();
    const sender = createSender();
    await sendDelivery(sender, receiver.url);
    const closed = receiver.sockets.map((socket) => once(socket, 'close'));
    for (const socket of receiver.sockets) socket.end();
    await Promise.all(closed);
    await turn();
    expect(await sendDelivery(sender, receiver.url)).toMatchObject({ status: 200, error: null });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  it('within a response fails the attempt', async () => {
    const receiver = await closing('half an answer');
    const sender = createSender();
    await sendDelivery(sender, receiver.url);
    expect(await sendDelivery(sender, receiver.url)).toMatchObject({
      status: null,
      error: expect.stringMatching(/was closed/) as string,
    });
    expect(receiver.requests).toHaveLength(2);
  });
});

describe('a new connection', () => {
  it('that is closed without a response fails the attempt without a second request', async () => {
    const receiver = await HttpReceiver.startHttp((_response, { request: { socket } }) => socket.destroy());
    expect(await sendDelivery(createSender(), receiver.url)).toMatchObject({
      status: null,
      error: expect.stringMatching(/was closed/) as string,
    });
    expect(receiver.requests).toHaveLength(1);
  });
});

it('does not delay other requests or webhooks while sixteen requests hang', async () => {
  const receiver = await HttpReceiver.startHttp((response, { request }) => {
    if (request.url === '/hangs') return;
    response.end();
  });
  const sender = createSender();
  const hanging = Array.from({ length: 16 }, () => sendDelivery(sender, `${receiver.url}hangs`));
  expect(await sendDelivery(sender, receiver.url)).toMatchObject({ status: 200 });
  expect(await sendDelivery(sender, receiver.url, {}, { id: parseWebhookId('wh_2') })).toMatchObject({ status: 200 });
  sender.close();
  for (const { error } of await Promise.all(hanging)) expect(error).toMatch(/was aborted/);
});
