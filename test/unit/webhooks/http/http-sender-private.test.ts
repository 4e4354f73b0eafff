/** Nothing is sent into a network that is not public, whatever a URL or a name server says. */
import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import type { ResolveName } from '../../../../src/webhooks/http/checked-lookup.ts';
import { createSender, HttpReceiver, sendDelivery } from '../support/http-receivers.ts';
import { createTestEvent } from '../support/webhooks.ts';

const REFUSED = {
  status: null,
  error: expect.stringMatching(/^Requests to \S+ are not allowed/) as string,
  deliveredEventCount: 0,
};

const address = (text: string): LookupAddress => ({ address: text, family: text.includes(':') ? 6 : 4 });

/** Answers like this, one answer after another, the last one again and again; and counts. */
const answering = (...answers: readonly (readonly string[])[]): { resolve: ResolveName; asked: string[] } => {
  const asked: string[] = [];
  const resolve: ResolveName = async (name) => {
    asked.push(name);
    return (answers[Math.min(asked.length, answers.length) - 1] ?? []).map(address);
  };
  return { resolve, asked };
};

describe('without a setting', () => {
  it.each(['127.0.0.1', 'localhost', 'localhost.', '0x7f.1', '2130706433', '[::ffff:127.0.0.1]', '0.0.0.0'])(
    'nothing goes to %s',
    async (host) => {
      const receiver = await HttpReceiver.startHttp();
      const url = `http://${host}:${receiver.port}/`;
      const { resolve } = answering(['127.0.0.1']);
      expect(await sendDelivery(createSender({ allowPrivate: [], resolveName: resolve }), url)).toMatchObject(REFUSED);
      expect(receiver.sockets).toHaveLength(0);
      // It is no mistake of the URL.
      expect(
        await sendDelivery(createSender({ allowPrivate: ['0.0.0.0/0', '::/0'], resolveName: resolve }), url),
      ).toMatchObject({
        status: 200,
      });
    },
  );

  it('nothing goes to a name of this machine', async () => {
    const receiver = await HttpReceiver.startHttp();
    const { resolve, asked } = answering(['127.0.0.1']);
    const url = `http://hooks.example.com:${receiver.port}/`;
    const attempt = await sendDelivery(createSender({ allowPrivate: [], resolveName: resolve }), url);
    expect(attempt).toMatchObject(REFUSED);
    // The address of an inner host is not told to whoever made the webhook.
    expect(attempt.error).not.toContain('127.0.0.1');
    expect(asked).toEqual(['hooks.example.com']);
    expect(receiver.sockets).toHaveLength(0);
  });

  it('nothing goes over http://', async () => {
    const receiver = await HttpReceiver.startHttp();
    expect(await sendDelivery(createSender({ allowHttp: false }), receiver.url)).toMatchObject({
      status: null,
      error: expect.stringMatching(/http:/) as string,
    });
    expect(receiver.sockets).toHaveLength(0);
  });
});

describe('a name', () => {
  it.each([
    ['8.8.8.8', '127.0.0.1'],
    ['127.0.0.1', '8.8.8.8'],
    ['8.8.8.8', '2606:4700::1111', '::1'],
    ['::ffff:127.0.0.1'],
    ['64:ff9b::7f00:1'],
    ['not an address'],
    ['169.254.169.254'],
  ])('is refused with %s, %s', async (...answer) => {
    const { resolve } = answering(answer);
    expect(
      await sendDelivery(createSender({ allowPrivate: [], resolveName: resolve }), 'http://hooks.example.com/'),
    ).toMatchObject(REFUSED);
  });

  it('without any address is refused', async () => {
    const { resolve } = answering([]);
    expect(await sendDelivery(createSender({ resolveName: resolve }), 'http://hooks.example.com/')).toMatchObject({
      status: null,
      error: 'The receiver’s host name has no address.',
    });
  });

  it('that changes its address between the check and the connection gets nobody anywhere', async () => {
    // What is allowed here stands for the public, and the other address for an inner host.
    const allowed = await HttpReceiver.startHttp();
    const { resolve, asked } = answering(['127.0.0.1'], ['127.0.0.2']);
    const courier = createSender({ allowPrivate: ['127.0.0.1/32'], resolveName: resolve });
    const url = `http://hooks.example.com:${allowed.port}/`;
    expect(await sendDelivery(courier, url)).toMatchObject({ status: 200 });
    // Asked once, and the connection went to that answer.
    expect(asked).toHaveLength(1);
    expect(allowed.sockets.map(({ localAddress }) => localAddress)).toEqual(['127.0.0.1']);
  });

  it('is checked at every new connection', async () => {
    const receiver = await HttpReceiver.startHttp((response) => response.writeHead(200, { connection: 'close' }).end());
    const { resolve, asked } = answering(['127.0.0.1'], ['127.0.0.2']);
    const courier = createSender({ allowPrivate: ['127.0.0.1/32'], resolveName: resolve });
    const url = `http://hooks.example.com:${receiver.port}/`;
    expect(await sendDelivery(courier, url)).toMatchObject({ status: 200 });
    expect(await sendDelivery(courier, url)).toMatchObject(REFUSED);
    expect(asked).toHaveLength(2);
    expect(receiver.sockets).toHaveLength(1);
  });

  it('is resolved once for all who ask at once', async () => {
    const receiver = await HttpReceiver.startHttp();
    let answer: (found: LookupAddress[]) => void = () => undefined;
    const asked: string[] = [];
    const resolve: ResolveName = (name) => {
      asked.push(name);
      return new Promise((resolved) => {
        answer = resolved;
      });
    };
    const courier = createSender({ resolveName: resolve });
    const all = Array.from({ length: 8 }, () => sendDelivery(courier, `http://hooks.example.com:${receiver.port}/`));
    answer([address('127.0.0.1')]);
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(asked).toEqual(['hooks.example.com']);
  });

  it('that does not exist is a failed attempt', async () => {
    // By RFC 6761 no name under it is ever there: the system’s own answer.
    expect(await sendDelivery(createSender(), 'http://nobody.invalid/')).toMatchObject({
      status: null,
      error: expect.stringMatching(/^The receiver’s host name could not be resolved/) as string,
    });
  });
});

it('where a format sends is looked at as well', async () => {
  const receiver = await HttpReceiver.startHttp();
  const elsewhere = new URL(`http://127.0.0.2:${receiver.port}/`);
  const formats = {
    STANDARD: { createRequests: () => [{ url: elsewhere, headers: {}, body: '', deliveredEventCount: 1 }] },
  };
  const courier = createSender({ allowPrivate: ['127.0.0.1/32'], formats });
  expect(await sendDelivery(courier, receiver.url, { events: [createTestEvent(1)] })).toMatchObject(REFUSED);
});
