#!/usr/bin/env node
// Records what a client sends to a server, in the form of test/e2e/clients/recordings.
//   node test/e2e/clients/support/record.mjs <port of the server> [token…]
// It prints the port to use instead. Ctrl-C ends it and prints the requests.
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pathToFileURL } from 'node:url';

/** @typedef {{ head: string[], body: string } | { head: string[], messages: (string | string[])[] }} RawRequest */

const OPCODE = { CONTINUATION: 0, TEXT: 1 };

/**
 * Starts a TCP proxy in front of a server.
 * @param {number} upstreamPort
 * @param {readonly string[]} tokens are replaced by {{token}}.
 * @returns {Promise<{ port: number, stop(): Promise<RawRequest[]> }>} `stop` closes all connections.
 */
export async function startRecorder(upstreamPort, tokens) {
  /** @type {Buffer[][]} */
  const connections = [];
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  const server = createServer((client) => {
    /** @type {Buffer[]} */
    const chunks = [];
    connections.push(chunks);
    const upstream = connect(upstreamPort, '127.0.0.1');
    client.on('data', (chunk) => chunks.push(chunk));
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // A reset of one side ends the other. What was sent before is recorded.
      socket.on('error', () => [client, upstream].forEach((each) => each.destroy()));
      socket.on('close', () => sockets.delete(socket));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The recorder has no port.');
  const { port } = address;
  return {
    port,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
      const requests = connections.flatMap((chunks) => parseRequests(Buffer.concat(chunks)));
      return /** @type {RawRequest[]} */ (JSON.parse(insertPlaceholders(JSON.stringify(requests), port, tokens)));
    },
  };
}

/**
 * @param {string} text
 * @param {number} port
 * @param {readonly string[]} tokens
 */
const insertPlaceholders = (text, port, tokens) =>
  tokens
    .reduce((result, token) => result.replaceAll(token, '{{token}}'), text)
    .replaceAll(`127.0.0.1:${port}`, '{{host}}')
    .replaceAll(`localhost:${port}`, '{{host}}');

/**
 * @param {Buffer} bytes of one connection.
 * @returns {RawRequest[]}
 */
function parseRequests(bytes) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end === -1) return [];
  const head = bytes.toString('latin1', 0, end).split('\r\n');
  const rest = bytes.subarray(end + 4);
  if (/^websocket$/i.test(findHeader(head, 'upgrade'))) return [{ head, messages: parseMessages(rest) }];
  if (findHeader(head, 'transfer-encoding') !== '') throw new Error('A chunked request cannot be recorded.');
  const length = Number(findHeader(head, 'content-length'));
  return [{ head, body: rest.toString('utf8', 0, length) }, ...parseRequests(rest.subarray(length))];
}

/**
 * @param {readonly string[]} head
 * @param {string} name
 */
const findHeader = (head, name) =>
  head
    .find((line) => line.toLowerCase().startsWith(`${name}:`))
    ?.slice(name.length + 1)
    .trim() ?? '';

/**
 * The text messages. Control frames are left out.
 * @param {Buffer} bytes
 * @returns {(string | string[])[]} a list for a message of several frames.
 */
function parseMessages(bytes) {
  /** @type {string[][]} */
  const messages = [];
  for (let offset = 0; offset + 2 <= bytes.length;) {
    const opcode = bytes.readUInt8(offset) & 0x0f;
    const shortLength = bytes.readUInt8(offset + 1) & 0x7f;
    if (shortLength === 127) throw new Error('A message of more than 65,535 bytes cannot be recorded.');
    const lengthEnd = offset + (shortLength === 126 ? 4 : 2);
    const length = shortLength === 126 ? bytes.readUInt16BE(offset + 2) : shortLength;
    const mask = bytes.subarray(lengthEnd, lengthEnd + 4);
    offset = lengthEnd + 4 + length;
    const payload = bytes.subarray(lengthEnd + 4, offset).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
    const text = Buffer.from(payload).toString('utf8');
    if (opcode === OPCODE.TEXT) messages.push([text]);
    else if (opcode === OPCODE.CONTINUATION) messages.at(-1)?.push(text);
  }
  return messages.map((fragments) => (fragments.length === 1 ? (fragments[0] ?? '') : fragments));
}

async function main() {
  const [port, ...tokens] = process.argv.slice(2);
  if (port === undefined) throw new Error('Name the port of the server.');
  const recorder = await startRecorder(Number(port), tokens);
  console.error(`Send the requests to http://127.0.0.1:${recorder.port}/graphql. Ctrl-C prints them.`);
  await once(process, 'SIGINT');
  console.log(JSON.stringify(await recorder.stop(), null, 2));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
