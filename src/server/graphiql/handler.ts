/** Serves GraphiQL. Neither the server nor the page loads anything from another host. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import Negotiator from 'negotiator';
import { splitRequestUrl } from '../http/request-url.ts';
import { GRAPHQL_PATH } from '../http/router.ts';
import { type GraphiqlAsset, loadAssets } from './assets.ts';
import { renderGraphiqlPage } from './page.ts';

const ASSET_PATH = /^\/graphql\/graphiql\/([0-9a-f]+)\/([\w.-]+)$/;
const ASSETS_PREFIX = '/graphql/graphiql/';

/**
 * The page may load scripts from and connect to its own origin only; `'self'` includes WebSockets. Inline styles are
 * allowed, because the editor positions its lines with them.
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

/** For files whose URL contains a hash of their content. */
const CACHE_FOREVER = 'public, max-age=31536000, immutable';

/**
 * Returns a handler for a browser that opens /graphql, and for the files of the page. For other requests it returns
 * false and does nothing.
 * @param onError is called with the reason when a request is answered with 500.
 */
export const createGraphiqlHandler =
  (onError: (error: unknown) => void = () => undefined) =>
  (request: IncomingMessage, response: ServerResponse): boolean => {
    if (!isGraphiqlRequest(request)) return false;
    serve(request, response).catch((error: unknown) => {
      // The browser disconnected.
      if (response.destroyed) return;
      onError(error);
      if (response.headersSent) response.destroy();
      else sendText(response, 500, 'GraphiQL could not be loaded. The GraphQL API is not affected.\n');
    });
    return true;
  };

const isGraphiqlRequest = (request: IncomingMessage): boolean => {
  if (request.method !== 'GET' && request.method !== 'HEAD') return false;
  const { path } = splitRequestUrl(request);
  if (path === GRAPHQL_PATH) return /\btext\/html\b/i.test(request.headers.accept ?? '');
  return path.startsWith(ASSETS_PREFIX);
};

const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
  const { version, filesByName: byName } = await loadAssets();
  const { path } = splitRequestUrl(request);
  if (path === GRAPHQL_PATH) return sendPage(request, response, version);
  const [, requestedVersion, name] = ASSET_PATH.exec(path) ?? [];
  const asset = requestedVersion === version && name !== undefined ? byName.get(name) : undefined;
  if (asset === undefined) return sendText(response, 404, 'This file does not exist. Reload /graphql.\n');
  await sendAsset(request, response, asset, `${version}-${name}`);
};

const sendPage = (request: IncomingMessage, response: ServerResponse, version: string): void => {
  const html = renderGraphiqlPage(`graphql/graphiql/${version}/`);
  const etag = `"${createHash('sha256').update(html).digest('base64url')}"`;
  response.setHeader('etag', etag);
  // The page names the files of this version, so browsers must revalidate it. The response is mostly 304.
  response.setHeader('cache-control', 'no-cache');
  response.setHeader('vary', 'accept');
  if (isUnchanged(request, etag)) return sendNotModified(response);
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(html) });
  response.end(request.method === 'HEAD' ? undefined : html);
};

const sendAsset = async (
  request: IncomingMessage,
  response: ServerResponse,
  { type, gzip }: GraphiqlAsset,
  assetId: string,
): Promise<void> => {
  const isCompressed = new Negotiator(request).encodings(['gzip']).length > 0;
  // A strong tag stands for the same bytes, so each encoding has its own.
  const etag = `"${assetId}${isCompressed ? '-gzip' : ''}"`;
  response.setHeader('etag', etag);
  response.setHeader('cache-control', CACHE_FOREVER);
  response.setHeader('vary', 'accept-encoding');
  if (isUnchanged(request, etag)) return sendNotModified(response);
  response.setHeader('content-type', type);
  if (isCompressed) {
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

const sendNotModified = (response: ServerResponse): void => {
  response.writeHead(304).end();
};

const isUnchanged = (request: IncomingMessage, etag: string): boolean => {
  const knownTags = (request.headers['if-none-match'] ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return knownTags.includes(etag) || knownTags.includes('*');
};
