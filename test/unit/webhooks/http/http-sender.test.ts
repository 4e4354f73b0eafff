/** The requests of an attempt, and how it interprets responses. */
import { once } from 'node:events';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { toMillis } from '../../../../src/core/ids.ts';
import {
  createSender,
  LONG_TIMEOUT_MS,
  oneRequestPerEvent,
  HttpReceiver,
  sendDelivery,
} from '../support/http-receivers.ts';
import { createTestDelivery, createTestEvent, createTestWebhook, SECRET } from '../support/webhooks.ts';

const TAKEN = { error: null, deliveredEventCount: 2, retryAfterMs: null };

describe('a request', () => {
  it('is accepted by a Standard Webhooks receiver', async () => {
    const receiver = await HttpReceiver.startHttp();
    const events = [{ ...createTestEvent(1), customStatus: 'Zoë 🚲' }, createTestEvent(2)];
    expect(await sendDelivery(createSender(), `${receiver.url}hooks/a%20b?c=d#e`, { events })).toEqual({
      ...TAKEN,
      status: 200,
    });
    const [{ request, body } = { request: null, body: '' }] = receiver.requests;
    expect(receiver.requests).toHaveLength(1);
    expect(request).toMatchObject({ method: 'POST', url: '/hooks/a%20b?c=d', httpVersion: '1.1' });
    expect(request?.headers).toMatchObject({
      host: `127.0.0.1:${receiver.port}`,
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'user-agent': 'Porchlight/1.2.3',
      'webhook-id': 'msg_1',
    });
    expect(new Webhook(SECRET).verify(body, request?.headers as Record<string, string>)).toMatchObject({
      data: { events: [{ customStatus: 'Zoë 🚲' }, { cursor: '2' }] },
    });
  });

  it('may go to a host name and over IPv6', async () => {
    const receiver = await HttpReceiver.startHttp();
    const resolve = async () => [{ address: '127.0.0.1', family: 4 }];
    expect(
      await sendDelivery(createSender({ resolveName: resolve }), `http://hooks.example.com:${receiver.port}/`),
    ).toMatchObject({
      status: 200,
    });
    expect(receiver.requests[0]?.request.headers.host).toBe(`hooks.example.com:${receiver.port}`);
    expect(await sendDelivery(createSender(), `http://localhost:${receiver.port}/`)).toMatchObject({ status: 200 });
    expect(await sendDelivery(createSender(), `http://[::ffff:127.0.0.1]:${receiver.port}/`)).toMatchObject({
      status: 200,
    });
    expect(receiver.requests).toHaveLength(3);
  });

  it('goes to the next address of a name when the first refuses the connection', async () => {
    const receiver = await HttpReceiver.startHttp();
    const resolve = async () => [
      { address: '127.0.0.2', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ];
    expect(
      await sendDelivery(createSender({ resolveName: resolve }), `http://hooks.example.com:${receiver.port}/`),
    ).toMatchObject({
      status: 200,
    });
  });

  it('never uses a proxy', async () => {
    const proxy = await HttpReceiver.startHttp();
    const receiver = await HttpReceiver.startHttp();
    const names = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'NODE_USE_ENV_PROXY'] as const;
    const before = names.map((name) => process.env[name]);
    for (const name of names) process.env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : proxy.url;
    try {
      expect(await sendDelivery(createSender(), receiver.url)).toMatchObject({ status: 200 });
    } finally {
      names.forEach((name, index) => {
        const value = before[index];
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      });
    }
    expect(receiver.requests).toHaveLength(1);
    expect(proxy.sockets).toHaveLength(0);
  });
});

describe('a response', () => {
  it.each([200, 201, 202, 204, 299])('with status %d delivers', async (status) => {
    const receiver = await HttpReceiver.startHttp((response) => response.writeHead(status).end());
    expect(await sendDelivery(createSender(), receiver.url)).toEqual({ ...TAKEN, status });
  });

  it.each([400, 401, 404, 410, 429, 500, 503, 599, 999])('with status %d fails the attempt', async (status) => {
    const receiver = await HttpReceiver.startHttp((response) =>
      response.writeHead(status).end('The reason, which is private.'),
    );
    expect(await sendDelivery(createSender(), receiver.url)).toEqual({
      status,
      error: `The receiver answered with status ${status}.`,
      deliveredEventCount: 0,
      retryAfterMs: null,
    });
  });

  it.each([300, 301, 302, 303, 304, 307, 308])('with status %d is not followed', async (status) => {
    const target = await HttpReceiver.startHttp();
    const receiver = await HttpReceiver.startHttp((response) =>
      response.writeHead(status, { location: target.url }).end(),
    );
    expect(await sendDelivery(createSender(), receiver.url)).toMatchObject({
      status,
      error: expect.stringMatching(/Redirects/) as string,
    });
    const itself = await HttpReceiver.startHttp((response) => response.writeHead(status, { location: '/' }).end());
    expect(await sendDelivery(createSender(), itself.url)).toMatchObject({ status });
    expect(target.sockets).toHaveLength(0);
    expect([receiver.requests.length, itself.requests.length]).toEqual([1, 1]);
  });

  const AT = 'Sat, 21 Nov 2026 09:30:00 GMT';
  it.each([
    ['120', AT, 120_000],
    ['0', AT, 0],
    ['99999999999999999999', AT, Number.MAX_SAFE_INTEGER],
    ['Sat, 21 Nov 2026 09:32:00 GMT', AT, 120_000],
    ['Sat, 21 Nov 2026 09:29:00 GMT', AT, 0],
    // Without a Date header, our own clock counts, which is one minute ahead.
    ['Sat, 21 Nov 2026 09:32:00 GMT', 'now', 60_000],
    ['-1', AT, null],
    ['1.5', AT, null],
    ['soon', AT, null],
    ['', AT, null],
    ['2026-11-21', AT, null],
    ['Sat, 41 Nov 2026 09:32:00 GMT', AT, null],
  ])('with Retry-After: %s and Date: %s has a retryAfterMs of %s', async (retryAfter, date, expected) => {
    const receiver = await HttpReceiver.startHttp((response) => {
      response.writeHead(503, { 'retry-after': retryAfter, date }).end();
    });
    const now = () => toMillis(Date.UTC(2026, 10, 21, 9, 31));
    expect(await sendDelivery(createSender({ wallClockNow: now }), receiver.url)).toMatchObject({
      status: 503,
      retryAfterMs: expected,
    });
  });
});

describe('a delivery of several requests', () => {
  const formats = { TENCENT: oneRequestPerEvent };
  const webhook = { format: 'TENCENT' } as const;
  const events = [createTestEvent(1), createTestEvent(2), createTestEvent(3)];

  it('sends them one after another over one connection', async () => {
    let open = 0;
    const receiver = await HttpReceiver.startHttp((response) => {
      expect(++open).toBe(1);
      setImmediate(() => {
        open--;
        response.end('ok');
      });
    });
    const attempt = await sendDelivery(createSender({ formats }), receiver.url, { events }, webhook);
    expect(attempt).toEqual({ status: 200, error: null, deliveredEventCount: 3, retryAfterMs: null });
    expect(receiver.requests.map(({ body, connection }) => [body, connection])).toEqual([
      ['1', 1],
      ['2', 1],
      ['3', 1],
    ]);
  });

  it('stops at the first failure and reports the delivered events', async () => {
    const receiver = await HttpReceiver.startHttp((response, { body }) => {
      response.writeHead(body === '2' ? 503 : 200, { 'retry-after': '7' }).end();
    });
    expect(await sendDelivery(createSender({ formats }), receiver.url, { events }, webhook)).toEqual({
      status: 503,
      error: 'The receiver answered with status 503.',
      deliveredEventCount: 1,
      retryAfterMs: 7_000,
    });
    expect(receiver.requests.map(({ body }) => body)).toEqual(['1', '2']);
  });

  it('has no status when the last request got no response', async () => {
    const receiver = await HttpReceiver.startHttp((response, { body }) => {
      if (body === '2') response.socket?.destroy();
      else response.writeHead(200, { connection: 'close' }).end();
    });
    expect(await sendDelivery(createSender({ formats }), receiver.url, { events }, webhook)).toMatchObject({
      status: null,
      deliveredEventCount: 1,
    });
  });

  it('succeeds without a request when its format creates none', async () => {
    const receiver = await HttpReceiver.startHttp();
    const attempt = await sendDelivery(
      createSender({ formats: { STANDARD: { createRequests: () => [] } } }),
      receiver.url,
    );
    expect(attempt).toEqual({ status: null, error: null, deliveredEventCount: 2, retryAfterMs: null });
    expect(receiver.sockets).toHaveLength(0);
  });
});

describe('a delivery that cannot be sent', () => {
  it('fails the attempt when its format is not enabled', async () => {
    const receiver = await HttpReceiver.startHttp();
    expect(await sendDelivery(createSender(), receiver.url, {}, { format: 'TENCENT' })).toEqual({
      status: null,
      error: 'The format TENCENT is not enabled on this server.',
      deliveredEventCount: 0,
      retryAfterMs: null,
    });
  });

  it.each([
    [
      'a format that throws',
      () => ({
        createRequests: () => {
          throw new Error('in src/secret/place.ts');
        },
      }),
    ],
    [
      'an invalid header',
      () => ({
        createRequests: () => [
          { url: new URL('http://127.0.0.1:1/'), headers: { a: 'b\nc' }, body: '', deliveredEventCount: 0 },
        ],
      }),
    ],
  ])('fails the attempt and reports the error, for %s', async (_what, format) => {
    const faults: unknown[] = [];
    const sender = createSender({ formats: { STANDARD: format() }, onInternalError: (error) => faults.push(error) });
    expect(await sendDelivery(sender, 'http://127.0.0.1:1/')).toMatchObject({
      status: null,
      error: 'The request could not be created because of an internal server error.',
    });
    expect(faults).toHaveLength(1);
  });
});

describe('the timeout', () => {
  it('fails the request and closes the connection', async () => {
    let closed: Promise<unknown> | undefined;
    const receiver = await HttpReceiver.startHttp((response) => {
      closed = once(response, 'close');
    });
    const attempt = await sendDelivery(createSender({ timeoutMs: 100 }), receiver.url);
    expect(attempt).toMatchObject({
      status: null,
      error: 'The receiver sent no complete response within 100 ms.',
      deliveredEventCount: 0,
    });
    await closed;
  });

  it('applies to each request separately', async () => {
    // Together they take longer than the timeout of one request.
    const receiver = await HttpReceiver.startHttp((response) => setTimeout(() => response.end(), 450));
    const sender = createSender({ formats: { STANDARD: oneRequestPerEvent }, timeoutMs: 1_500 });
    const events = [1, 2, 3, 4].map(createTestEvent);
    expect(await sendDelivery(sender, receiver.url, { events })).toMatchObject({
      status: 200,
      deliveredEventCount: 4,
    });
  });

  it('applies to name resolution as well', async () => {
    const sender = createSender({ timeoutMs: 100, resolveName: () => new Promise(() => undefined) });
    expect(await sendDelivery(sender, 'http://hooks.example.com/')).toMatchObject({
      status: null,
      error: expect.stringMatching(/within 100 ms/) as string,
    });
  });
});

describe('an aborted attempt', () => {
  it.each(['before', 'while'] as const)('fails when it is aborted %s it waits for a response', async (when) => {
    const abort = new AbortController();
    if (when === 'before') abort.abort();
    let closed: Promise<unknown> | undefined;
    const receiver = await HttpReceiver.startHttp((response) => {
      closed = once(response, 'close');
      abort.abort();
    });
    const attempt = await createSender().attemptDelivery(
      createTestWebhook({ url: receiver.url }),
      createTestDelivery(),
      abort.signal,
    );
    expect(attempt).toMatchObject({
      status: null,
      error: expect.stringMatching(/was aborted/) as string,
      deliveredEventCount: 0,
    });
    await closed;
    expect(receiver.requests).toHaveLength(when === 'before' ? 0 : 1);
  });

  it('sends no further requests', async () => {
    const abort = new AbortController();
    const receiver = await HttpReceiver.startHttp((response) => {
      response.end(() => abort.abort());
    });
    const sender = createSender({ formats: { STANDARD: oneRequestPerEvent } });
    const events = Array.from({ length: 100 }, (_, index) => createTestEvent(index));
    const attempt = await sender.attemptDelivery(
      createTestWebhook({ url: receiver.url }),
      createTestDelivery({ events }),
      abort.signal,
    );
    expect(attempt).toMatchObject({ error: expect.stringMatching(/was aborted/) as string });
    expect(attempt.deliveredEventCount).toBeLessThan(100);
    expect(receiver.requests.length).toBeLessThan(100);
  });

  it('fails when the sender closes, as do later attempts', async () => {
    const sender = createSender();
    const receiver = await HttpReceiver.startHttp(() => sender.close());
    const brokenOff = { status: null, error: expect.stringMatching(/was aborted/) as string };
    expect(await sendDelivery(sender, receiver.url)).toMatchObject(brokenOff);
    expect(await sendDelivery(sender, receiver.url)).toMatchObject(brokenOff);
    expect(receiver.requests).toHaveLength(1);
  });

  it('does not affect other attempts', async () => {
    const abort = new AbortController();
    const receiver = await HttpReceiver.startHttp((response, { request }) => {
      if (request.url === '/ends') abort.abort();
      else setImmediate(() => response.end());
    });
    const sender = createSender({ timeoutMs: LONG_TIMEOUT_MS });
    const [ended, other] = await Promise.all([
      sender.attemptDelivery(createTestWebhook({ url: `${receiver.url}ends` }), createTestDelivery(), abort.signal),
      sendDelivery(sender, `${receiver.url}goes-on`),
    ]);
    expect(ended.error).toMatch(/was aborted/);
    expect(other.error).toBeNull();
  });
});
