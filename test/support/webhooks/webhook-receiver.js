// A backend that receives webhooks, in a separate process that can be killed. It records each request in a file before it
// responds. receiver-process.ts controls its responses over the IPC channel.
import { Buffer } from 'node:buffer';
import { closeSync, openSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { clearTimeout } from 'node:timers';
import { Webhook } from 'standardwebhooks';

/**
 * How a complete request is answered, after it was recorded.
 * - `answer`: with this status and these headers.
 * - `hang`: not at all, until the sender disconnects.
 * - `drip`: slowly, with the header after `beforeHeadMs` and then `bytes` of a body, one every `betweenBytesMs`.
 * - `endless`: with this status and a body that never ends.
 * - `break`: the connection is closed before the response, within its header, or within its body.
 * @typedef {{ kind: 'answer', status: number, headers?: Record<string, string> }
 *   | { kind: 'hang' }
 *   | { kind: 'drip', status: number, beforeHeadMs: number, bytes: number, betweenBytesMs: number }
 *   | { kind: 'endless', status: number }
 *   | { kind: 'break', at: 'request' | 'head' | 'body' }} Behaviour
 */
/**
 * Applies to requests to this path, or with this user. `times`: number of requests, then the rule is removed.
 * @typedef {{ path?: string, userId?: string, times?: number, behaviour: Behaviour }} Rule
 */
/**
 * One request, as it is recorded.
 * @typedef {object} ReceivedRequest
 * @property {number} at wall clock, ms
 * @property {string} path without its query
 * @property {string} url path and query
 * @property {Record<string, string | string[] | undefined>} headers
 * @property {string} body
 * @property {string[]} signedBy names of the secrets of its path that verify the signature
 * @property {Behaviour['kind']} behaviour
 * @property {number | null} status of the response that follows; null: no response
 */
/** @typedef {{ host: string, port: number, file: string, rules: Rule[], secrets: Record<string, Record<string, string>> }} Start */

const FINE = /** @type {const} */ ({ kind: 'answer', status: 200 });
const CHUNK = Buffer.alloc(1024, 'x');

/** @type {Rule[]} */
let rules = [];
/** By path, then by the name that the test chose. @type {Record<string, Record<string, string>>} */
let secrets = {};
let file = -1;

/**
 * @param {string} path
 * @param {string} body
 * @returns {Behaviour}
 */
function behaviourFor(path, body) {
  const rule = rules.find(
    (one) =>
      (one.path === undefined || one.path === path) &&
      (one.userId === undefined || body.includes(JSON.stringify(one.userId))),
  );
  if (rule === undefined) return FINE;
  if (rule.times !== undefined && --rule.times === 0) rules = rules.filter((one) => one !== rule);
  return rule.behaviour;
}

/**
 * @param {string} path
 * @param {string} body
 * @param {import('node:http').IncomingHttpHeaders} headers
 */
function signedBy(path, body, headers) {
  return Object.entries(secrets[path] ?? {}).flatMap(([name, secret]) => {
    try {
      new Webhook(secret).verify(body, /** @type {Record<string, string>} */ (headers));
      return [name];
    } catch {
      return [];
    }
  });
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {string} body
 * @param {Behaviour} behaviour
 */
function keep(request, body, behaviour) {
  const url = request.url ?? '';
  const path = url.replace(/\?.*/s, '');
  /** @type {ReceivedRequest} */
  const received = {
    at: Date.now(),
    path,
    url,
    headers: request.headers,
    body,
    signedBy: signedBy(path, body, request.headers),
    behaviour: behaviour.kind,
    status: 'status' in behaviour ? behaviour.status : null,
  };
  // Written data survives a kill of this process.
  writeSync(file, `${JSON.stringify(received)}\n`);
  process.send?.({ received: true });
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {Behaviour} behaviour
 */
function behave(response, behaviour) {
  const { socket } = response;
  switch (behaviour.kind) {
    case 'answer':
      response.writeHead(behaviour.status, behaviour.headers).end('kept');
      return;
    case 'hang':
      return;
    case 'drip':
      drip(response, behaviour);
      return;
    case 'endless': {
      response.writeHead(behaviour.status);
      const pour = () => {
        while (!response.destroyed && response.write(CHUNK));
      };
      response.on('drain', pour);
      pour();
      return;
    }
    case 'break':
      if (behaviour.at === 'head') socket?.write('HTTP/1.1 200 O');
      if (behaviour.at === 'body') socket?.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nke');
      // Closed, not reset, so that the written bytes are read.
      if (behaviour.at === 'request') socket?.resetAndDestroy();
      else socket?.end(() => socket.destroy());
  }
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {Extract<Behaviour, { kind: 'drip' }>} behaviour
 */
function drip(response, { status, beforeHeadMs, bytes, betweenBytesMs }) {
  let left = bytes;
  const next = () => {
    if (!response.headersSent) response.writeHead(status, { 'content-length': String(bytes) }).flushHeaders();
    else {
      response.write('x');
      left--;
    }
    if (left === 0) response.end();
    else timer = setTimeout(next, betweenBytesMs);
  };
  let timer = setTimeout(next, beforeHeadMs);
  response.on('close', () => clearTimeout(timer));
}

const http = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  /** @type {Buffer[]} */
  const chunks = [];
  // The sender may disconnect at any time.
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString('utf8');
    const behaviour = behaviourFor((request.url ?? '').replace(/\?.*/s, ''), body);
    keep(request, body, behaviour);
    behave(response, behaviour);
  });
});

/**
 * @param {string} host
 * @param {number} port 0: any free port.
 */
function listen(host, port) {
  http.listen(port, host, () => {
    const address = http.address();
    if (address !== null && typeof address === 'object') process.send?.({ port: address.port });
  });
}

process.on(
  'message',
  (/** @type {{ start?: Start, rules?: Rule[], secrets?: typeof secrets, id?: number }} */ message) => {
    if (message.start !== undefined) {
      ({ rules, secrets } = message.start);
      file = openSync(message.start.file, 'a');
      const { host, port } = message.start;
      // After a kill, another connection may use the port for a moment.
      http.on('error', () => setTimeout(() => listen(host, port), 50));
      listen(host, port);
    }
    if (message.rules !== undefined) ({ rules } = message);
    if (message.secrets !== undefined) ({ secrets } = message);
    if (message.id !== undefined) process.send?.({ done: message.id });
  },
);
process.once('disconnect', () => {
  if (file >= 0) closeSync(file);
  process.exit();
});
