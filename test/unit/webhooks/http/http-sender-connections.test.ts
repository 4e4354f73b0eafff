/** Connections are used again, closed when nobody needs them, and never a reason to fail. */
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { parseWebhookId } from '../../../../src/core/ids.ts';
import { createSender, HttpReceiver, sendDelivery } from '../support/http-receivers.ts';

describe('a connection', () => {
  it('is used again, for whatever status', async () => {
    const receiver = await HttpReceiver.startHttp((response, { request }) => {
      response.writeHead(Number(request.url?.slice(1))).end('x'.repeat(4_096));
    });
    const courier = createSender();
    for (const status of [200, 503, 302, 404, 200])
      expect(await sendDelivery(courier, `${receiver.url}${status}`)).toMatchObject({ status });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 1, 1, 1]);
  });

  it('is not used again after a body of more than 4 KiB', async () => {
    const receiver = await HttpReceiver.startHttp((response) => response.end('x'.repeat(4_097)));
    const courier = createSender();
    for (const _ of [1, 2]) expect(await sendDelivery(courier, receiver.url)).toMatchObject({ status: 200 });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  it('is one webhook’s own', async () => {
    const receiver = await HttpReceiver.startHttp();
    const courier = createSender();
    for (const id of ['wh_1', 'wh_2', 'wh_1'])
      await sendDelivery(courier, receiver.url, {}, { id: parseWebhookId(id) });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 2, 1]);
  });

  it('is closed when it has not been used for a while', async () => {
    const receiver = await HttpReceiver.startHttp();
    const courier = createSender({ idleMs: 50 });
    await sendDelivery(courier, receiver.url);
    const [socket] = receiver.sockets;
    if (socket === undefined) throw new Error('Nobody came.');
    if (!socket.destroyed) await once(socket, 'close');
    expect(await sendDelivery(courier, receiver.url)).toMatchObject({ status: 200 });
    expect(receiver.sockets).toHaveLength(2);
  });

  it('is closed with the courier', async () => {
    const receiver = await HttpReceiver.startHttp();
    const courier = createSender({ idleMs: 3_600_000 });
    await Promise.all([sendDelivery(courier, receiver.url), sendDelivery(courier, receiver.url)]);
    const closed = receiver.sockets.map((socket) => once(socket, 'close'));
    expect(closed).toHaveLength(2);
    courier.close();
    await Promise.all(closed);
  });
});

describe('a connection that the receiver closed after it was used', () => {
  /** Answers the first request of its first connection, and does this with the second. */
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

  it.each(['end', 'reset'] as const)('with an %s is no failed attempt: another one is made', async (how) => {
    const receiver = await closing(how);
    const courier = createSender();
    expect(await sendDelivery(courier, receiver.url)).toMatchObject({ status: 200 });
    expect(await sendDelivery(courier, receiver.url)).toMatchObject({ status: 200, error: null });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 2]);
    // The same delivery, by the same id.
    expect(new Set(receiver.requests.map(({ request }) => request.headers['webhook-id']))).toEqual(new Set(['msg_1']));
  });

  it('before the request was begun is not even tried', async () => {
    const receiver = await HttpReceiver.startHttp();
    const courier = createSender();
    await sendDelivery(courier, receiver.url);
    const closed = receiver.sockets.map((socket) => once(socket, 'close'));
    for (const socket of receiver.sockets) socket.end();
    await Promise.all(closed);
    await turn();
    expect(await sendDelivery(courier, receiver.url)).toMatchObject({ status: 200, error: null });
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 2]);
  });

  it('within an answer is a failed attempt', async () => {
    const receiver = await closing('half an answer');
    const courier = createSender();
    await sendDelivery(courier, receiver.url);
    expect(await sendDelivery(courier, receiver.url)).toMatchObject({
      status: null,
      error: expect.stringMatching(/was closed/) as string,
    });
    expect(receiver.requests).toHaveLength(2);
  });
});

describe('a connection that was never used', () => {
  it('and is closed is a failed attempt, and the only one', async () => {
    const receiver = await HttpReceiver.startHttp((_response, { request: { socket } }) => socket.destroy());
    expect(await sendDelivery(createSender(), receiver.url)).toMatchObject({
      status: null,
      error: expect.stringMatching(/was closed/) as string,
    });
    expect(receiver.requests).toHaveLength(1);
  });
});

it('one that hangs holds up no other: sixteen of a webhook, and another webhook', async () => {
  const receiver = await HttpReceiver.startHttp((response, { request }) => {
    if (request.url === '/hangs') return;
    response.end();
  });
  const courier = createSender();
  const hanging = Array.from({ length: 16 }, () => sendDelivery(courier, `${receiver.url}hangs`));
  expect(await sendDelivery(courier, receiver.url)).toMatchObject({ status: 200 });
  expect(await sendDelivery(courier, receiver.url, {}, { id: parseWebhookId('wh_2') })).toMatchObject({ status: 200 });
  courier.close();
  for (const { error } of await Promise.all(hanging)) expect(error).toMatch(/was aborted/);
});
