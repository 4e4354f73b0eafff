import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { StartupError } from '../../../../src/process/startup-error.ts';
import { API_KEY, codeOf, ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const apiKeyHeaders = { authorization: `Bearer ${API_KEY}` };
const jsonHeaders = { 'content-type': 'application/json' };

/** Sends raw bytes. fetch would normalise the request. */
const sendRaw = async (harness: ServerHarness, bytes: string): Promise<string> => {
  const { port, hostname } = new URL(harness.url);
  const socket = connect(Number(port), hostname);
  socket.end(bytes);
  return text(socket);
};

describe('the health check', () => {
  test('reports live and ready without authentication, for GET and HEAD only', async () => {
    const harness = await ServerHarness.open();
    for (const [path, status] of [
      ['/health/live', 'live'],
      ['/health/ready', 'ready'],
    ]) {
      const response = await fetch(`${harness.url}${path}`);
      expect([response.status, await response.json()]).toEqual([200, { status }]);
      expect((await fetch(`${harness.url}${path}`, { method: 'HEAD' })).status).toBe(200);
      expect((await fetch(`${harness.url}${path}`, { method: 'POST' })).status).toBe(405);
    }
  });
});

describe('a path', () => {
  test.each(['/', '/nothing', '/graphql/', '/GRAPHQL', '/health', '/%00', '/graphql2?query={__typename}'])(
    'that is unknown is answered with 404 and JSON: %s',
    async (path) => {
      const harness = await ServerHarness.open();
      const response = await fetch(`${harness.url}${path}`);
      expect(response.status).toBe(404);
      expect(((await response.json()) as { errors: [{ extensions: object }] }).errors[0].extensions).toEqual({
        code: 'NOT_FOUND',
      });
    },
  );

  test('/ redirects a browser to /graphql', async () => {
    const harness = await ServerHarness.open();
    const response = await fetch(`${harness.url}/`, { headers: { accept: 'text/html' }, redirect: 'manual' });
    expect([response.status, response.headers.get('location')]).toEqual([302, 'graphql']);
  });

  test('is served by the page handler if that handler accepts it', async () => {
    const harness = await ServerHarness.open({
      graphiql: (request, response) => {
        const isPage = request.url === '/page.js' || request.url === '/graphql';
        if (isPage) response.end('the page');
        return isPage;
      },
    });
    const page = await fetch(`${harness.url}/graphql`, { headers: { accept: 'text/html,*/*;q=0.8' } });
    expect(await page.text()).toBe('the page');
    expect(await (await fetch(`${harness.url}/page.js`)).text()).toBe('the page');
    expect((await fetch(`${harness.url}/other.js`)).status).toBe(404);
    expect((await harness.post('{ __typename }')).body.data).toEqual({ __typename: 'Query' });
  });
});

describe('an operation', () => {
  test('may be sent by GET if it is a query; a mutation is answered with 405', async () => {
    const harness = await ServerHarness.open();
    const get = (query: string) =>
      fetch(`${harness.url}/graphql?${new URLSearchParams({ query })}`, { headers: apiKeyHeaders });
    expect(await (await get('{ stats { sockets } }')).json()).toEqual({ data: { stats: { sockets: 0 } } });
    const mutation = await get('mutation { endSessions(input: { userId: "alice" }) { ended { id } } }');
    expect([mutation.status, mutation.headers.get('allow')]).toEqual([405, 'POST']);
  });

  test('has the request id that the client sent, or a generated one if that is malformed', async () => {
    const harness = await ServerHarness.open();
    const named = await harness.post('{ __typename }', API_KEY, {}, { 'x-request-id': 'trace-5' });
    expect(named.headers.get('x-request-id')).toBe('trace-5');
    const odd = await harness.post('{ __typename }', API_KEY, {}, { 'x-request-id': '"} {"x":"' });
    expect(odd.headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/);
    expect(harness.logLines.join('')).toContain('"requestId":"trace-5"');
  });

  test('with invalid variables is answered with BAD_USER_INPUT and changes nothing', async () => {
    const harness = await ServerHarness.open();
    const login = 'mutation ($input: LoginInput!) { login(input: $input) { session { id } } }';
    for (const variables of [
      undefined,
      {},
      { input: null },
      { input: 'x' },
      { input: { platform: 'WEBB' } },
      { input: { platform: 'WEB', deviceI: 1 } },
    ]) {
      const { body } = await harness.post(login, await harness.jwt('alice'), variables);
      expect(body.errors?.[0]?.extensions.code).toBe('BAD_USER_INPUT');
      expect(body.errors?.[0]?.message).not.toContain('Did you mean');
      expect(body.data).toBeUndefined();
    }
    expect(await harness.reasons('alice')).toEqual([]);
  });

  test('with an invalid input receives an error without the input’s other values, over both transports', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const query = 'mutation ($i: CreateWebhookInput!) { createWebhook(input: $i) { secret } }';
    const secret = 'whsec_of my own';
    for (const [input, message] of [
      [{ secret }, 'Variable "$i" got an invalid value; Field "url" of required type "String!" was not provided.'],
      [
        { secret, url: 'https://chat.example', uri: '" at "i"; why' },
        'Variable "$i" got an invalid value; Field "uri" is not defined by type "CreateWebhookInput".',
      ],
      [
        { secret, url: 'https://chat.example', format: ['x; y" at "z"'] },
        'Variable "$i" got an invalid value at "i.format"; Enum "WebhookFormat" cannot represent non-string value: ["x; y\\" at \\"z\\""].',
      ],
      [
        { secret, url: 'https://chat.example', format: 'x; y" at "z"' },
        'Variable "$i" got invalid value "x; y\\" at \\"z\\"" at "i.format"; Value "x; y" at "z"" does not exist in "WebhookFormat" enum.',
      ],
    ] as const) {
      const { body } = await harness.post(query, API_KEY, { i: input });
      expect(body.errors?.[0]).toMatchObject({ message, extensions: { code: 'BAD_USER_INPUT' } });
      const id = socket.subscribe(query, { i: input });
      expect(await socket.nextMessage()).toMatchObject({ type: 'next', id, payload: { errors: [{ message }] } });
      expect(await socket.nextMessage()).toEqual({ type: 'complete', id });
    }
    expect(await harness.webhooks.store.listWebhooks()).toEqual([]);
    expect(harness.logLines.join('')).not.toContain('of my own');
  });

  test('of a document with several operations needs a valid operationName', async () => {
    const harness = await ServerHarness.open();
    const query = 'query A { __typename } query B { stats { sockets } }';
    const send = (operationName?: string) => harness.send(JSON.stringify({ query, operationName }), apiKeyHeaders);
    expect(codeOf(await send())).toBe('OPERATION_RESOLUTION_FAILURE');
    expect(codeOf(await send('C'))).toBe('OPERATION_RESOLUTION_FAILURE');
    expect((await send('B')).body).toEqual({ data: { stats: { sockets: 0 } } });
  });

  test('that fails internally receives a masked error, and the details are logged', async () => {
    const harness = await ServerHarness.open();
    vi.spyOn(harness.store, 'getPresenceCounts').mockImplementation(() => {
      throw new Error('no such table: secrets');
    });
    const reply = await harness.post('{ stats { sockets } policy { pushOnlineExpiryMs } }');
    expect(reply.body.errors).toEqual([
      expect.objectContaining({
        message: 'Internal server error.',
        path: ['stats'],
        extensions: { code: 'INTERNAL_SERVER_ERROR' },
      }),
    ]);
    expect(JSON.stringify(reply.body)).not.toContain('secrets');
    expect(harness.logLines.join('')).toContain('no such table: secrets');
  });

  test('whose authentication fails internally receives a masked error with status 500', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    vi.spyOn(harness.store, 'readUsers').mockRejectedValue(new Error('disk on fire'));
    const reply = await harness.post('{ me { id } }', token, {}, { accept: 'application/graphql-response+json' });
    expect(reply.status).toBe(500);
    expect(reply.body).toEqual({
      errors: [{ message: 'Internal server error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
    });
  });
});

describe('the HTTP status', () => {
  test.each<[string, string | null, number, string]>([
    ['{ userStatus(userId: "a") { version } }', null, 200, 'UNAUTHENTICATED'],
    ['{ stats { sockets } }', 'wrong', 401, 'UNAUTHENTICATED'],
    ['{ stats {', API_KEY, 400, 'GRAPHQL_PARSE_FAILED'],
    ['{ nothing }', API_KEY, 400, 'GRAPHQL_VALIDATION_FAILED'],
    ['query ($id: ID!) { userStatus(userId: $id) { version } }', API_KEY, 400, 'BAD_USER_INPUT'],
    ['{ userStatus(userId: "") { version } }', API_KEY, 200, 'BAD_USER_INPUT'],
  ])(
    'of %s with credential %s is 200 for application/json, and %d for application/graphql-response+json',
    async (query, credential, status, code) => {
      const harness = await ServerHarness.open();
      const plain = await harness.post(query, credential, undefined, { accept: 'application/json' });
      expect([plain.status, codeOf(plain)]).toEqual([200, code]);
      const modern = await harness.post(query, credential, undefined, { accept: 'application/graphql-response+json' });
      expect([modern.status, codeOf(modern)]).toEqual([status, code]);
      for (const { body } of [plain, modern]) expect(body.errors?.[0]?.extensions).toEqual({ code });
    },
  );

  test('of a request with an ended session’s token is 401, with the reason in the body', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    await harness.post('mutation { logout { userStatus { version } } }', token);
    const reply = await harness.post('{ me { id } }', token, {}, { accept: 'application/graphql-response+json' });
    expect([reply.status, reply.body.errors?.[0]?.extensions['reason']]).toEqual([401, 'LOGOUT']);
  });
});

describe('an invalid request', () => {
  test.each<[string, string]>([
    ['not JSON', '{'],
    ['not an object', '5'],
    ['null', 'null'],
    ['no query', '{}'],
    ['a query that is a number', '{"query":5}'],
    ['variables that are a list', '{"query":"{ __typename }","variables":[]}'],
    ['an empty list', '[]'],
    ['a list of lists', '[[{"query":"{ __typename }"}]]'],
  ])('is answered with 400 and BAD_REQUEST: %s', async (_case, body) => {
    const harness = await ServerHarness.open();
    const reply = await harness.send(body, apiKeyHeaders);
    expect([reply.status, codeOf(reply)]).toEqual([400, 'BAD_REQUEST']);
    expect(Object.keys(reply.body.errors?.[0]?.extensions ?? {})).toEqual(['code']);
  });

  test('is answered with 400 when it is a GET, too', async () => {
    const harness = await ServerHarness.open();
    for (const search of ['', '?query=', '?query={__typename}&variables={', '?query={__typename}&variables=%FF']) {
      const response = await fetch(`${harness.url}/graphql${search}`, { headers: apiKeyHeaders });
      expect(response.status, search).toBe(400);
    }
  });

  test.each(['PUT', 'DELETE', 'PATCH'])('is answered with 405 for the method %s', async (method) => {
    const harness = await ServerHarness.open();
    const response = await fetch(`${harness.url}/graphql`, {
      method,
      headers: { ...apiKeyHeaders, ...jsonHeaders },
      body: '{}',
    });
    expect(response.status).toBe(405);
  });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/graphql',
    'text/plain; application/json',
    'application/jsonx',
    '',
  ])('is answered with 415 for a content type that needs no CORS preflight: %s', async (type) => {
    const harness = await ServerHarness.open();
    const { port } = new URL(harness.url);
    const mutation = 'mutation { endSessions(input: { userId: "alice" }) { ended { id } } }';
    const reply = await new Promise<IncomingMessage>((resolve) => {
      httpRequest(
        {
          port,
          host: '127.0.0.1',
          path: '/graphql',
          method: 'POST',
          headers: { ...apiKeyHeaders, 'content-type': type },
        },
        resolve,
      ).end(JSON.stringify({ query: mutation }));
    });
    expect(reply.statusCode).toBe(415);
    expect(await text(reply)).toContain('BAD_REQUEST');
  });

  test('is answered with 413 above 512 KiB, with or without Content-Length', async () => {
    const harness = await ServerHarness.open();
    const long = JSON.stringify({ query: `{ __typename } # ${'x'.repeat(512 * 1024)}` });
    const reply = await harness.send(long, apiKeyHeaders);
    expect([reply.status, codeOf(reply)]).toEqual([413, 'REQUEST_ENTITY_TOO_LARGE']);
    expect(reply.body.errors?.[0]?.message).toBe('The body has more than 512 KiB.');
    const chunked = await fetch(`${harness.url}/graphql`, {
      method: 'POST',
      headers: { ...apiKeyHeaders, ...jsonHeaders },
      body: new Blob([long]).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(chunked.status).toBe(413);
    const almost = `${JSON.stringify({ query: '{ __typename }' })}${' '.repeat(511 * 1024)}`;
    expect((await harness.send(almost, apiKeyHeaders)).body.data).toEqual({ __typename: 'Query' });
  });

  test('is answered with a 4xx status when it is not valid HTTP', async () => {
    const harness = await ServerHarness.open();
    expect(await sendRaw(harness, 'HELLO\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
    expect(await sendRaw(harness, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(60_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 431 /,
    );
  });
});

describe('a page of another origin', () => {
  const preflight = (harness: ServerHarness, origin: string) =>
    fetch(`${harness.url}/graphql`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });
  const cors = (headers: Headers): string[] =>
    [...headers.keys()].filter((name) => name.startsWith('access-control-')).sort();

  test('receives no CORS headers unless its origin is allowed', async () => {
    for (const allowedOrigins of [[], ['https://app.example'], ['https://app.example', 'https://other.example']]) {
      const harness = await ServerHarness.open({ settings: { allowedOrigins } });
      for (const origin of ['https://evil.example', 'null', harness.url, 'https://app.example.evil.example']) {
        expect(cors((await preflight(harness, origin)).headers)).toEqual([]);
        expect(cors((await harness.post('{ __typename }', null, {}, { origin })).headers)).toEqual([]);
      }
    }
  });

  test('of an allowed origin receives CORS headers, without credentials', async () => {
    const harness = await ServerHarness.open({
      settings: { allowedOrigins: ['https://app.example', 'https://other.example'] },
    });
    const origin = 'https://app.example';
    const { headers } = await preflight(harness, origin);
    expect(headers.get('access-control-allow-origin')).toBe(origin);
    expect(headers.get('access-control-allow-headers')).toBe('authorization,content-type');
    expect(headers.get('access-control-allow-credentials')).toBeNull();
    const reply = await harness.post('{ __typename }', null, {}, { origin });
    expect(reply.headers.get('access-control-allow-origin')).toBe(origin);
    expect(reply.headers.get('vary')).toBe('Origin');
    expect(cors(reply.headers)).toEqual(['access-control-allow-origin', 'access-control-expose-headers']);
    // A cache must not serve one origin's response to another origin.
    expect((await harness.post('{ __typename }', null)).headers.get('vary')).toBe('Origin');
  });

  test('of any origin is allowed when * is configured', async () => {
    const harness = await ServerHarness.open({ settings: { allowedOrigins: ['*'] } });
    const { headers } = await harness.post('{ __typename }', null, {}, { origin: 'https://evil.example' });
    expect(headers.get('access-control-allow-origin')).toBe('*');
    expect(headers.get('access-control-allow-credentials')).toBeNull();
  });
});

describe('the client address', () => {
  const readIpAddress = async (harness: ServerHarness, forwarded?: string): Promise<string> => {
    const { token } = await harness.login('alice');
    const headers: Record<string, string> = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
    const { body } = await harness.post('{ me { ipAddress } }', token, {}, headers);
    return (body.data?.['me'] as unknown as { ipAddress: string }).ipAddress;
  };

  test('is that of the connection; X-Forwarded-For is ignored by default', async () => {
    expect(await readIpAddress(await ServerHarness.open(), '9.9.9.9')).toBe('127.0.0.1');
  });

  test.each([
    [undefined, '127.0.0.1'],
    ['9.9.9.9', '9.9.9.9'],
    ['9.9.9.9, 8.8.8.8', '9.9.9.9'],
    ['9.9.9.9:1234', '9.9.9.9'],
    ['::ffff:9.9.9.9', '9.9.9.9'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]:1234', '2001:db8::1'],
    ['unknown', '127.0.0.1'],
    ['', '127.0.0.1'],
    ['<script>', '127.0.0.1'],
  ])('behind a trusted proxy that says %j is %s', async (forwarded, address) => {
    expect(await readIpAddress(await ServerHarness.open({ settings: { trustProxy: true } }), forwarded)).toBe(address);
  });
});

describe('listening', () => {
  test('on a port in use fails with a StartupError that names the address', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const opening = ServerHarness.open({ listenAt: { port } });
    await expect(opening).rejects.toThrow(StartupError);
    await expect(opening).rejects.toMatchObject({ exitCode: 1 });
    await expect(opening).rejects.toThrow(`127.0.0.1:${port} is in use`);
  });

  test('on an address of another host fails with exit code 78', async () => {
    await expect(ServerHarness.open({ listenAt: { host: '203.0.113.1' } })).rejects.toMatchObject({
      exitCode: 78,
      message: expect.stringContaining('203.0.113.1') as string,
    });
  });
});
