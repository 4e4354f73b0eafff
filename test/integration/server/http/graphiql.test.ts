import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGraphiqlHandler } from '../../../../src/server/graphiql/handler.ts';

interface RawResponse {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const NOT_GRAPHIQL = 418;
const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
const failures: unknown[] = [];

let server: Server;
beforeAll(async () => {
  const handle = createGraphiqlHandler((error) => failures.push(error));
  server = createServer((incoming, response) => {
    if (!handle(incoming, response)) response.writeHead(NOT_GRAPHIQL).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

/** Sends a request without fetch, which decompresses bodies and hides their encoding. */
const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<RawResponse> =>
  new Promise((resolve, reject) => {
    const { port } = server.address() as AddressInfo;
    const outgoing = request({ host: '127.0.0.1', port, path, headers, method }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }),
      );
      response.on('error', reject);
    });
    outgoing.on('error', reject).end();
  });

/** Returns the paths of the scripts and styles in the page. */
const findAssetPaths = async (): Promise<string[]> => {
  const { body } = await get('/graphql', BROWSER);
  return [...body.toString().matchAll(/(?:src|href)="(graphql\/[^"]+)"/g)].map(([, path]) => `/${path}`);
};
const findGraphiqlScript = async (): Promise<string> =>
  (await findAssetPaths()).find((path) => path.endsWith('/graphiql.js')) ?? '';

describe('The GraphiQL page', () => {
  it('is served to browsers at /graphql only', async () => {
    expect((await get('/graphql', BROWSER)).status).toBe(200);
    expect((await get('/graphql?query={me{id}}', BROWSER)).status).toBe(200);
    expect((await get('/graphql', { accept: 'application/json' })).status).toBe(NOT_GRAPHIQL);
    expect((await get('/graphql')).status).toBe(NOT_GRAPHIQL);
    expect((await get('/graphql', BROWSER, 'POST')).status).toBe(NOT_GRAPHIQL);
    expect((await get('/graphqlx', BROWSER)).status).toBe(NOT_GRAPHIQL);
    expect((await get('/', BROWSER)).status).toBe(NOT_GRAPHIQL);
  });

  it('contains no URL of another host, and its Content-Security-Policy allows none', async () => {
    const { body, headers } = await get('/graphql', BROWSER);
    const html = decodeURIComponent(body.toString()).replaceAll('http://www.w3.org/2000/svg', '');
    expect(html).not.toMatch(/https?:|src="\/\//);
    expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self';");
    expect(headers['content-security-policy']).toContain("connect-src 'self'");
    expect(headers['content-security-policy']).not.toMatch(/https?:|\*|script-src[^;]*unsafe/);
  });

  it('is sent with headers against framing, sniffing and referrers', async () => {
    for (const path of ['/graphql', await findGraphiqlScript(), '/graphql/graphiql/0/none.js']) {
      const { headers } = await get(path, BROWSER);
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
      expect(headers['x-frame-options']).toBe('DENY');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['referrer-policy']).toBe('no-referrer');
    }
  });

  it('must be revalidated, and is answered with 304 when unchanged', async () => {
    const { headers } = await get('/graphql', BROWSER);
    expect(headers['cache-control']).toBe('no-cache');
    expect(headers.vary).toBe('accept');
    const again = await get('/graphql', { ...BROWSER, 'if-none-match': `"other", ${headers.etag}` });
    expect(again.status).toBe(304);
    expect(again.body).toHaveLength(0);
    expect(again.headers.etag).toBe(headers.etag);
  });

  it('is answered without a body for HEAD', async () => {
    for (const path of ['/graphql', await findGraphiqlScript()]) {
      const answer = await get(path, BROWSER, 'HEAD');
      expect(answer.status).toBe(200);
      expect(answer.body).toHaveLength(0);
    }
  });
});

describe('The files of the GraphiQL page', () => {
  it('are all served, with their content types', async () => {
    const paths = await findAssetPaths();
    expect(paths.map((path) => path.split('/').pop())).toEqual([
      'graphiql.css',
      'graphql-ws.js',
      'graphiql.js',
      'main.js',
    ]);
    for (const path of paths) {
      const { status, headers } = await get(path);
      expect(status).toBe(200);
      expect(headers['content-type']).toBe(
        path.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8',
      );
    }
  });

  it('are compressed with gzip if the client accepts it, and identical otherwise', async () => {
    const path = await findGraphiqlScript();
    const compressed = await get(path, { 'accept-encoding': 'gzip, deflate, br' });
    expect(compressed.headers['content-encoding']).toBe('gzip');
    expect(compressed.body.length).toBeLessThan(2_000_000);
    for (const encoding of ['', 'br', 'gzip;q=0', 'identity']) {
      const plain = await get(path, { 'accept-encoding': encoding });
      expect(plain.headers['content-encoding']).toBeUndefined();
      expect(plain.body.equals(gunzipSync(compressed.body))).toBe(true);
      expect(plain.headers.etag).not.toBe(compressed.headers.etag);
    }
    expect((await get(path, { 'accept-encoding': '*' })).headers['content-encoding']).toBe('gzip');
  });

  it('may be cached forever, because their URL changes with their content', async () => {
    const path = await findGraphiqlScript();
    const { headers } = await get(path, { 'accept-encoding': 'gzip' });
    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(headers.vary).toBe('accept-encoding');
    const again = await get(path, { 'accept-encoding': 'gzip', 'if-none-match': headers.etag ?? '' });
    expect(again.status).toBe(304);
  });

  it('are served under the present version only; other paths are answered with 404', async () => {
    const path = await findGraphiqlScript();
    for (const other of [
      path.replace(/[0-9a-f]{16}/, '0'),
      `${path}.map`,
      '/graphql/graphiql/',
      '/graphql/graphiql/../x',
    ]) {
      const { status, headers } = await get(other);
      expect(status).toBe(404);
      expect(headers['cache-control']).toBe('no-store');
    }
    expect(failures).toEqual([]);
  });
});
