/** Spans of operations, sent to a collector that accepts them, is absent or does not answer. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight } from '../../support/porchlight-process.ts';
import { LOGIN } from '../support/users.ts';

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: { readonly stringValue?: string } }[];
}

interface TraceExport {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Span['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

/** Starts a collector that stores traces. @param answers false: it accepts connections and never answers. */
const startCollector = async (answers = true) => {
  const received: TraceExport[] = [];
  const server = createServer((request, response) => {
    if (!answers) return;
    void json(request).then((body) => {
      received.push(body as TraceExport);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void (server.close(), server.closeAllConnections()));
  const spans = () =>
    received.flatMap(({ resourceSpans }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
    );
  return { received, spans, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
};

const env = (url: string) => ({
  OTEL_EXPORTER_OTLP_ENDPOINT: url,
  OTEL_TRACES_SAMPLER: 'always_on',
  OTEL_BSP_SCHEDULE_DELAY: '50',
});

const textOf = (attributes: Span['attributes'], key: string) =>
  attributes.find((one) => one.key === key)?.value.stringValue;

test('each operation over each transport has a span in the trace of its caller, without secrets and client-chosen names', async () => {
  const { received, spans, url } = await startCollector();
  await using server = await startPorchlight({ env: env(url) });
  const jwt = await mintToken('alice');
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
  const input = { platform: 'WEB', deviceId: 'a-chosen-device' };
  const response = await fetch(`${server.origin}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${jwt}`, traceparent },
    body: JSON.stringify({ query: LOGIN, variables: { input } }),
  });
  const { data } = (await response.json()) as { data: { login: { sessionToken: string } } };
  const socket = await GraphqlSocket.open(server, server.apiKey);
  await socket.execute('query AChosenName { me { id } }');
  await postOperation(server, 'a-wrong-credential', '{ me { id } }');
  await expect.poll(() => spans().length, { timeout: 10_000 }).toBe(3);

  const [login, me, wrong] = spans();
  expect(login).toMatchObject({ name: 'mutation login', traceId, parentSpanId: 'b7ad6b7169203331' });
  expect(textOf(login?.attributes ?? [], 'porchlight.transport')).toBe('http');
  expect(textOf(login?.attributes ?? [], 'porchlight.caller')).toBe('user');
  expect(textOf(login?.attributes ?? [], 'porchlight.user')).toMatch(/^[0-9a-f]{12}$/);
  expect(me?.name).toBe('query me');
  expect(textOf(me?.attributes ?? [], 'porchlight.transport')).toBe('websocket');
  expect(JSON.stringify(me?.attributes)).toContain('UNAUTHENTICATED');
  expect(wrong?.name).toBe('invalid');
  for (const { startTimeUnixNano, endTimeUnixNano } of spans()) {
    expect(BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano)).toBe(true);
  }
  const resource = received[0]?.resourceSpans[0]?.resource.attributes ?? [];
  expect(textOf(resource, 'service.name')).toBe('porchlight');
  const all = JSON.stringify(received);
  for (const word of ['alice', jwt, data.login.sessionToken, server.apiKey, 'a-wrong', 'a-chosen', 'AChosenName']) {
    expect(all).not.toContain(word);
  }
});

test('the service name comes from OTEL_SERVICE_NAME, and pending spans are sent at shutdown', async () => {
  const { received, spans, url } = await startCollector();
  const variables = { OTEL_SERVICE_NAME: 'presence-eu', OTEL_BSP_SCHEDULE_DELAY: '600000' };
  await using server = await startPorchlight({ env: { ...env(url), ...variables } });
  await postOperation(server, server.apiKey, '{ stats { sockets } }');
  await server.stop();
  expect(spans().map(({ name }) => name)).toEqual(['query stats']);
  expect(textOf(received[0]?.resourceSpans[0]?.resource.attributes ?? [], 'service.name')).toBe('presence-eu');
});

test.each([
  ['is absent', () => Promise.resolve('http://127.0.0.1:9')],
  ['never answers', async () => (await startCollector(false)).url],
])('a collector that %s affects no operation and delays no shutdown', async (_how, url) => {
  await using server = await startPorchlight({ env: env(await url()) });
  for (let at = 0; at < 50; at++) {
    expect((await postOperation(server, server.apiKey, '{ stats { sockets } }')).errors).toBeUndefined();
  }
  const began = performance.now();
  expect((await server.stop()).code).toBe(0);
  // The server waits 1 s for the collector. Without that limit the timeout and its retries would take 10 s.
  expect(performance.now() - began).toBeLessThan(6_000);
  expect(server.output().split('Traces could not be sent').length).toBeLessThan(30);
});
