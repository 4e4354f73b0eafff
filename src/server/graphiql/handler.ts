/** GraphiQL, served by the server itself: no other host is asked for anything, neither by the server nor by the page. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { type GraphiqlAsset, loadAssets } from './assets.ts';
import { renderGraphiqlPage } from './page.ts';

const PAGE_PATH = '/graphql';
const ASSET_PATH = /^\/graphql\/graphiql\/([0-9a-f]+)\/([\w.-]+)$/;
const ASSETS_PREFIX = '/graphql/graphiql/';

/**
 * The page runs scripts and reaches servers of its own origin alone (`'self'` is its WebSocket too). Styles inline:
 * the editor positions its lines with them.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "connect-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const SECURITY_HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

/** Its address holds the hash of its content, so it never changes. */
const FOR_EVER = 'public, max-age=31536000, immutable';

const pathOf = (request: IncomingMessage): string => (request.url ?? '').split('?', 1)[0] ?? '';

/**
 * Answers requests for GraphiQL: a browser that opens /graphql, and the files of the page. Returns false for others,
 * which it leaves alone.
 * @param onError told why a request was answered with 500.
 */
export const createGraphiqlHandler =
  (onError: (error: unknown) => void = () => undefined) =>
  (request: IncomingMessage, response: ServerResponse): boolean => {
    if (!isForGraphiql(request)) return false;
    answer(request, response).catch((error: unknown) => {
      // The browser went away while it was being answered.
      if (response.destroyed) return;
      onError(error);
      if (response.headersSent) response.destroy();
      else sendText(response, 500, 'GraphiQL could not be loaded. The GraphQL API is not concerned.\n');
    });
    return true;
  };

const isForGraphiql = (request: IncomingMessage): boolean => {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  const path = pathOf(request);
  if (path === PAGE_PATH) return /\btext\/html\b/i.test(request.headers.accept ?? '');
  return path.startsWith(ASSETS_PREFIX);
};

const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
  const { version, byName } = await loadAssets();
  const path = pathOf(request);
  if (path === PAGE_PATH) return sendPage(request, response, version);
  const [, askedVersion, name] = ASSET_PATH.exec(path) ?? [];
  const asset = askedVersion === version && name !== undefined ? byName.get(name) : undefined;
  if (asset === undefined) return sendText(response, 404, 'There is no such file. Open /graphql again.\n');
  await sendAsset(request, response, asset, `${version}-${name}`);
};

const sendPage = (request: IncomingMessage, response: ServerResponse, version: string): void => {
  const html = renderGraphiqlPage(`graphql/graphiql/${version}/`);
  const etag = `"${createHash('sha256').update(html).digest('base64url')}"`;
  response.setHeader('etag', etag);
  // Asked for again each time, since it names the files of this version; the answer is mostly 304.
  response.setHeader('cache-control', 'no-cache');
  response.setHeader('vary', 'accept');
  if (isUnchanged(request, etag)) return notModified(response);
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(html) });
  response.end(request.method === 'HEAD' ? undefined : html);
};

const sendAsset = async (
  request: IncomingMessage,
  response: ServerResponse,
  { type, gzip }: GraphiqlAsset,
  id: string,
): Promise<void> => {
  const compressed = acceptsGzip(request);
  // Strong: the same tag is the same bytes, so each encoding has its own.
  const etag = `"${id}${compressed ? '-gzip' : ''}"`;
  response.setHeader('etag', etag);
  response.setHeader('cache-control', FOR_EVER);
  response.setHeader('vary', 'accept-encoding');
  if (isUnchanged(request, etag)) return notModified(response);
  response.setHeader('content-type', type);
  if (compressed) {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': gzip.byteLength });
    response.end(request.method === 'HEAD' ? undefined : gzip);
  } else if (request.method === 'HEAD') {
    response.writeHead(200).end();
  } else {
    await pipeline(Readable.from([gzip]), createGunzip(), response.writeHead(200));
  }
};

const sendText = (response: ServerResponse, status: number, text: string): void => {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' });
  response.end(text);
};

const notModified = (response: ServerResponse): void => {
  response.writeHead(304).end();
};

const isUnchanged = (request: IncomingMessage, etag: string): boolean => {
  const known = (request.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known.includes(etag) || known.includes('*');
};

/** `gzip` or `*`, not refused by a weight of 0. */
const acceptsGzip = (request: IncomingMessage): boolean => {
  const weights = new Map<string, number>();
  for (const part of String(request.headers['accept-encoding'] ?? '')
    .toLowerCase()
    .split(',')) {
    const [coding = '', ...parameters] = part.split(';').map((text) => text.trim());
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    weights.set(coding, weight === undefined ? 1 : Number(weight.slice(2)));
  }
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0;
};
