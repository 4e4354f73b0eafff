// A receiver of webhooks that does next to nothing: counts events by the path they are posted to, and answers 200, or
// never where the path begins with /dead. GET of a path with ?count=N is answered when N have been counted there, with
// how old those counted since the last such question were when they came.
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';

const EVENT = Buffer.from('"cursor":');
const MOMENT = Buffer.from('"occurredAt":"');
const MOMENT_LENGTH = 24;

/** @typedef {{ count: number, requests: number, ages: number[], waiting: { count: number, resolve: () => void } | null }} Path */

/** @type {Map<string, Path>} */
const paths = new Map();

/** @param {string} name */
function pathOf(name) {
  const path = paths.get(name) ?? { count: 0, requests: 0, ages: [], waiting: null };
  paths.set(name, path);
  return path;
}

/** @param {Path} path */
function resolveIfReached(path) {
  if (path.waiting === null || path.count < path.waiting.count) return;
  path.waiting.resolve();
  path.waiting = null;
}

/**
 * @param {Path} path
 * @param {Buffer} body
 */
function count(path, body) {
  const now = Date.now();
  for (let at = body.indexOf(EVENT); at >= 0; at = body.indexOf(EVENT, at + EVENT.length)) path.count++;
  // The first is the oldest.
  const moment = body.indexOf(MOMENT) + MOMENT.length;
  path.ages.push(now - Date.parse(body.toString('latin1', moment, moment + MOMENT_LENGTH)));
  path.requests++;
  resolveIfReached(path);
}

const http = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://hooks');
  const path = pathOf(pathname);
  if (request.method === 'GET') {
    path.waiting = {
      count: Number(searchParams.get('count')),
      resolve: () => {
        const body = JSON.stringify({ count: path.count, requests: path.requests, ages: path.ages });
        path.ages = [];
        response.writeHead(200, { 'Content-Length': Buffer.byteLength(body) }).end(body);
      },
    };
    resolveIfReached(path);
    return;
  }
  /** @type {Buffer[]} */
  const chunks = [];
  request.on('error', () => undefined);
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (pathname.startsWith('/dead')) return;
    count(path, Buffer.concat(chunks));
    response.writeHead(200, { 'Content-Length': 0 }).end();
  });
});
http.listen(0, '127.0.0.1', () => {
  const address = http.address();
  if (address !== null && typeof address === 'object') console.log(`ready at http://127.0.0.1:${address.port}`);
});
process.on('SIGTERM', () => process.exit(0));
