/** Requests to private networks are rejected, whatever a URL or a DNS server says. */
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

/** Returns these answers in order and repeats the last one; counts the lookups. */
const createResolver = (...answers: readonly (readonly string[])[]): { resolve: ResolveName; lookups: string[] } => {
  const lookups: string[] = [];
  const resolve: ResolveName = async (name) => {
    lookups.push(name);
    return (answers[Math.min(lookups.length, answers.length) - 1] ?? []).map(address);
  };
  return { resolve, lookups };
};

describe('without allowed networks', () => {
  it.each(['127.0.0.1', 'localhost', 'localhost.', '0x7f.1', '2130706433', '[::ffff:127.0.0.1]', '0.0.0.0'])(
    'sends nothing to %s',
    async (host) => {
      const receiver = await HttpReceiver.startHttp();
      const url = `http://${host}:${receiver.port}/`;
      const { resolve } = createResolver(['127.0.0.1']);
      expect(await sendDelivery(createSender({ allowPrivate: [], resolveName: resolve }), url)).toMatchObject(REFUSED);
      expect(receiver.sockets).toHaveLength(0);
      // The URL itself is valid.
      expect(
        await sendDelivery(createSender({ allowPrivate: ['0.0.0.0/0', '::/0'], resolveName: resolve }), url),
      ).toMatchObject({
        status: 200,
      });
    },
  );

  it('sends nothing to a host name of this machine', async () => {
    const receiver = await HttpReceiver.startHttp();
    const { resolve, lookups } = createResolver(['127.0.0.1']);
    const url = `http://hooks.example.com:${receiver.port}/`;
    const attempt = await sendDelivery(createSender({ allowPrivate: [], resolveName: resolve }), url);
    expect(attempt).toMatchObject(REFUSED);
    // The error must not reveal the internal address to the creator of the webhook.
    expect(attempt.error).not.toContain('127.0.0.1');
    expect(lookups).toEqual(['hooks.example.com']);
    expect(receiver.sockets).toHaveLength(0);
  });

  it('sends nothing over http://', async () => {
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
  ])('is rejected with the addresses %s, %s', async (...answer) => {
    const { resolve } = createResolver(answer);
    expect(
      await sendDelivery(createSender({ allowPrivate: [], resolveName: resolve }), 'http://hooks.example.com/'),
    ).toMatchObject(REFUSED);
  });

  it('without an address is rejected', async () => {
    const { resolve } = createResolver([]);
    expect(await sendDelivery(createSender({ resolveName: resolve }), 'http://hooks.example.com/')).toMatchObject({
      status: null,
      error: 'The receiver’s host name has no address.',
    });
  });

  it('is resolved once, and the connection uses the checked address (DNS rebinding)', async () => {
    // The allowed address stands for a public one, the other one for an internal host.
    const allowed = await HttpReceiver.startHttp();
    const { resolve, lookups } = createResolver(['127.0.0.1'], ['127.0.0.2']);
    const sender = createSender({ allowPrivate: ['127.0.0.1/32'], resolveName: resolve });
    const url = `http://hooks.example.com:${allowed.port}/`;
    expect(await sendDelivery(sender, url)).toMatchObject({ status: 200 });
    // Resolved once, and the connection uses that result.
    expect(lookups).toHaveLength(1);
    expect(allowed.sockets.map(({ localAddress }) => localAddress)).toEqual(['127.0.0.1']);
  });

  it('is checked at every new connection', async () => {
    const receiver = await HttpReceiver.startHttp((response) => response.writeHead(200, { connection: 'close' }).end());
    const { resolve, lookups } = createResolver(['127.0.0.1'], ['127.0.0.2']);
    const sender = createSender({ allowPrivate: ['127.0.0.1/32'], resolveName: resolve });
    const url = `http://hooks.example.com:${receiver.port}/`;
    expect(await sendDelivery(sender, url)).toMatchObject({ status: 200 });
    expect(await sendDelivery(sender, url)).toMatchObject(REFUSED);
    expect(lookups).toHaveLength(2);
    expect(receiver.sockets).toHaveLength(1);
  });

  it('is resolved once for concurrent requests', async () => {
    const receiver = await HttpReceiver.startHttp();
    let answer: (found: LookupAddress[]) => void = () => undefined;
    const lookups: string[] = [];
    const resolve: ResolveName = (name) => {
      lookups.push(name);
      return new Promise((resolved) => {
        answer = resolved;
      });
    };
    const sender = createSender({ resolveName: resolve });
    const all = Array.from({ length: 8 }, () => sendDelivery(sender, `http://hooks.example.com:${receiver.port}/`));
    answer([address('127.0.0.1')]);
    expect((await Promise.all(all)).map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect(lookups).toEqual(['hooks.example.com']);
  });

  it('that does not exist fails the attempt', async () => {
    // RFC 6761 reserves .invalid, so the system resolver reports an error.
    expect(await sendDelivery(createSender(), 'http://unknown.invalid/')).toMatchObject({
      status: null,
      error: expect.stringMatching(/^The receiver’s host name could not be resolved/) as string,
    });
  });
});

it('rejects a private URL that a format creates', async () => {
  const receiver = await HttpReceiver.startHttp();
  const elsewhere = new URL(`http://127.0.0.2:${receiver.port}/`);
  const formats = {
    STANDARD: { createRequests: () => [{ url: elsewhere, headers: {}, body: '', deliveredEventCount: 1 }] },
  };
  const sender = createSender({ allowPrivate: ['127.0.0.1/32'], formats });
  expect(await sendDelivery(sender, receiver.url, { events: [createTestEvent(1)] })).toMatchObject(REFUSED);
});
