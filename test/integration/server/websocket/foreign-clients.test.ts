/**
 * The bytes that GraphQL clients and tools outside of this repository send to open a socket. Those of
 * subscriptions-transport-ws, of `ws` and of Python's websockets were recorded; the others follow the documentation and
 * the source of the client.
 */
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ServerHarness } from '../support/server-harness.ts';

interface ForeignClient {
  readonly name: string;
  /** The header lines of its upgrade. `TOKEN` and `HOST` stand for their values. */
  readonly headers: readonly string[];
  /** Its first message. */
  readonly init: string;
  /** A subscription as it writes it. Omitted: like graphql-ws. */
  readonly subscribe?: string;
}

const KEY = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==';
const QUERY = 'subscription { statusChanges(userIds: [\\"alice\\"]) { status } }';
const SUBSCRIBE = `{"id":"1","type":"subscribe","payload":{"query":"${QUERY}"}}`;

/** The headers of `ws`, which Postman, Insomnia and wscat use. */
const WS_HEADERS = [
  'Sec-WebSocket-Version: 13',
  KEY,
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  'Sec-WebSocket-Protocol: graphql-transport-ws',
  'Host: HOST',
];

const OKHTTP_HEADERS = [
  'Sec-WebSocket-Protocol: graphql-transport-ws',
  'Upgrade: websocket',
  'Connection: Upgrade',
  KEY,
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Extensions: permessage-deflate',
  'Host: HOST',
  'Accept-Encoding: gzip',
  'User-Agent: okhttp/4.12.0',
];

/** Starscream, which Apollo iOS 0 and 1 contain, sends the address of the server as Origin, with the scheme ws or wss. */
const STARSCREAM_HEADERS = [
  'Host: HOST',
  'Sec-WebSocket-Protocol: graphql-transport-ws',
  'Origin: ws://HOST',
  'Upgrade: websocket',
  'Connection: Upgrade',
  KEY,
  'Sec-WebSocket-Version: 13',
];

const DOTNET_HEADERS = [
  'Host: HOST',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  KEY,
  'Sec-WebSocket-Protocol: graphql-transport-ws, graphql-ws',
];

const GO_HEADERS = [
  'Host: HOST',
  'User-Agent: Go-http-client/1.1',
  'Connection: Upgrade',
  KEY,
  'Sec-WebSocket-Protocol: graphql-transport-ws',
  'Sec-WebSocket-Version: 13',
  'Upgrade: websocket',
];

const BROWSER_HEADERS = [
  'Host: HOST',
  'Connection: keep-alive, Upgrade',
  'Pragma: no-cache',
  'Cache-Control: no-cache',
  'Upgrade: websocket',
  'Origin: http://HOST',
  'Sec-WebSocket-Version: 13',
  'Accept-Encoding: gzip, deflate, br, zstd',
  KEY,
  'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
  'Sec-WebSocket-Protocol: graphql-transport-ws',
];

const CLIENTS: readonly ForeignClient[] = [
  {
    name: 'Postman: header alone, payload null',
    headers: ['Authorization: Bearer TOKEN', ...WS_HEADERS],
    init: '{"type":"connection_init","payload":null}',
  },
  {
    name: 'Insomnia: header in lower case, no payload',
    headers: ['authorization: Bearer TOKEN', ...WS_HEADERS],
    init: '{"type":"connection_init"}',
    subscribe: `{"id":"0c6c8f0e","type":"subscribe","payload":{"query":"${QUERY}","variables":{},"operationName":""}}`,
  },
  {
    name: 'Apollo Kotlin: addHeader("Authorization")',
    headers: ['Authorization: Bearer TOKEN', ...OKHTTP_HEADERS],
    init: '{"type":"connection_init"}',
    subscribe: `{"type":"subscribe","id":"7f8e","payload":{"operationName":null,"variables":{},"query":"${QUERY}"}}`,
  },
  {
    name: 'Apollo Kotlin: connectionPayload with authorization',
    headers: OKHTTP_HEADERS,
    init: '{"type":"connection_init","payload":{"authorization":"Bearer TOKEN"}}',
  },
  {
    name: 'Apollo Kotlin: connectionPayload with headers.authorization',
    headers: OKHTTP_HEADERS,
    init: '{"type":"connection_init","payload":{"headers":{"authorization":"Bearer TOKEN"}}}',
  },
  {
    name: 'Apollo iOS: header of the request, empty connectingPayload',
    headers: ['Authorization: Bearer TOKEN', ...STARSCREAM_HEADERS],
    init: '{"payload":{},"type":"connection_init"}',
    subscribe: `{"type":"subscribe","id":"1","payload":{"query":"${QUERY}","variables":null}}`,
  },
  {
    name: 'Apollo iOS: connectingPayload with Authorization',
    headers: STARSCREAM_HEADERS,
    init: '{"payload":{"Authorization":"Bearer TOKEN"},"type":"connection_init"}',
  },
  {
    name: 'Apollo Client, urql and Relay with graphql-ws, in a browser: authToken of the Apollo documentation',
    headers: BROWSER_HEADERS,
    init: '{"type":"connection_init","payload":{"authToken":"TOKEN"}}',
  },
  {
    name: 'a Hasura client with graphql-ws, in a browser: headers.Authorization',
    headers: BROWSER_HEADERS,
    init: '{"type":"connection_init","payload":{"headers":{"Authorization":"Bearer TOKEN"}}}',
  },
  {
    name: 'go-graphql-client of Hasura: header alone, payload null',
    headers: ['Authorization: Bearer TOKEN', ...GO_HEADERS],
    init: '{"type":"connection_init","payload":null}\n',
  },
  {
    name: 'go-graphql-client of Hasura: connection params with headers',
    headers: GO_HEADERS,
    init: '{"type":"connection_init","payload":{"headers":{"Authorization":"Bearer TOKEN"}}}\n',
  },
  {
    name: 'a gqlgen client: Authorization in the payload',
    headers: GO_HEADERS,
    init: '{"type":"connection_init","payload":{"Authorization":"Bearer TOKEN"}}',
  },
  {
    name: 'Python gql: header, both subprotocols, empty payload',
    headers: [
      'Host: HOST',
      'Upgrade: websocket',
      'Connection: Upgrade',
      KEY,
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      'Sec-WebSocket-Protocol: graphql-ws, graphql-transport-ws',
      'Authorization: Bearer TOKEN',
      'User-Agent: Python/3.11 websockets/10.4',
    ],
    init: '{"type": "connection_init", "payload": {}}',
    subscribe: `{"id": "1", "type": "subscribe", "payload": {"query": "${QUERY}"}}`,
  },
  {
    name: 'GraphQL.Client of .NET: header, both subprotocols, id and payload null',
    headers: ['Authorization: Bearer TOKEN', ...DOTNET_HEADERS],
    init: '{"id":null,"type":"connection_init","payload":null}',
    subscribe: `{"id":"5f0c","type":"subscribe","payload":{"query":"${QUERY}","operationName":null,"variables":null,"extensions":null}}`,
  },
  {
    name: 'GraphiQL and Altair: headers of the editor as payload',
    headers: BROWSER_HEADERS,
    init: '{"type":"connection_init","payload":{"Authorization":"Bearer TOKEN","X-Custom":"1"}}',
  },
  {
    name: 'AnyCable and Directus clients: token',
    headers: BROWSER_HEADERS,
    init: '{"type":"connection_init","payload":{"token":"TOKEN"}}',
  },
];

/** Encodes a text frame of a client, with a mask of zeros. @param first its first byte. */
const encodeFrame = (text: string, first = 0x81): Buffer => {
  const bytes = Buffer.from(text, 'utf8');
  const head =
    bytes.length < 126 ? [first, 0x80 | bytes.length] : [first, 0xfe, bytes.length >> 8, bytes.length & 0xff];
  return Buffer.concat([Buffer.from(head), Buffer.alloc(4), bytes]);
};

/** Reads the response and the frames of a server. */
class RawClient {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #received = Buffer.alloc(0);

  constructor(harness: ServerHarness, headers: readonly string[], token: string) {
    const { hostname, port, host } = new URL(harness.url);
    this.#socket = connect(Number(port), hostname);
    onTestFinished(() => void this.#socket.destroy());
    this.#chunks = this.#socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    const lines = headers.map((line) => line.replace('TOKEN', token).replace('HOST', host));
    this.#socket.write(`GET /graphql HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
  }

  write(...frames: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(frames));
  }

  /** Returns the head of the response to the upgrade. */
  async readHead(): Promise<string> {
    for (;;) {
      const end = this.#received.indexOf('\r\n\r\n');
      if (end !== -1) return this.#take(end + 4).toString('latin1');
      await this.#readMore();
    }
  }

  /** Returns the opcode and the payload of the next frame, which has at most 65,535 bytes. */
  async readFrame(): Promise<{ readonly opcode: number; readonly payload: Buffer }> {
    const head = await this.#takeBytes(2);
    const first = head.readUInt8(0);
    const second = head.readUInt8(1);
    const length = second === 126 ? (await this.#takeBytes(2)).readUInt16BE() : second;
    return { opcode: first & 0x0f, payload: await this.#takeBytes(length) };
  }

  async readMessage(): Promise<unknown> {
    const { opcode, payload } = await this.readFrame();
    if (opcode === 8) throw new Error(`Closed with ${payload.readUInt16BE()} ${payload.toString('utf8', 2)}`);
    return JSON.parse(payload.toString('utf8'));
  }

  async #takeBytes(count: number): Promise<Buffer> {
    while (this.#received.length < count) await this.#readMore();
    return this.#take(count);
  }

  #take(count: number): Buffer {
    const taken = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return taken;
  }

  async #readMore(): Promise<void> {
    const next = await this.#chunks.next();
    if (next.done === true) throw new Error('The server closed the connection.');
    this.#received = Buffer.concat([this.#received, next.value]);
  }
}

describe('a client outside of this repository', () => {
  test.each(CLIENTS.map((client) => [client.name, client] as const))(
    'can subscribe with a session token: %s',
    async (_name, { headers, init, subscribe = SUBSCRIBE }) => {
      const harness = await ServerHarness.open();
      const { token } = await harness.login('alice');
      const client = new RawClient(harness, headers, token);
      const head = await client.readHead();
      expect(head).toMatch(/^HTTP\/1.1 101 /);
      expect(head).toContain('\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n');
      expect(head).not.toMatch(/Sec-WebSocket-Extensions/i);
      client.write(encodeFrame(init.replace('TOKEN', token)));
      expect(await client.readMessage()).toEqual({ type: 'connection_ack' });
      client.write(encodeFrame(subscribe));
      expect(await client.readMessage()).toMatchObject({
        type: 'next',
        payload: { data: { statusChanges: [{ status: 'ONLINE' }] } },
      });
    },
  );

  test('may send its first message together with the upgrade', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const client = new RawClient(harness, ['Authorization: Bearer TOKEN', ...WS_HEADERS], token);
    client.write(encodeFrame('{"type":"connection_init"}'));
    await client.readHead();
    expect(await client.readMessage()).toEqual({ type: 'connection_ack' });
  });

  test('of subscriptions-transport-ws, which sends connection_init and start at once, reads why it is refused', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const headers = [
      'Sec-WebSocket-Version: 13',
      KEY,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      'Sec-WebSocket-Protocol: graphql-ws',
      'Host: HOST',
    ];
    const client = new RawClient(harness, headers, token);
    client.write(
      encodeFrame(`{"type":"connection_init","payload":{"Authorization":"Bearer ${token}"}}`),
      encodeFrame('{"id":"1","type":"start","payload":{"query":"subscription { sessionEnded { reason } }"}}'),
    );
    expect(await client.readHead()).toContain('\r\nSec-WebSocket-Protocol: graphql-ws\r\n');
    const reason = 'Subprotocol graphql-ws (subscriptions-transport-ws) not acceptable; accepted: graphql-transport-ws';
    expect(await client.readMessage()).toEqual({ type: 'connection_error', payload: { message: reason } });
    const { opcode, payload } = await client.readFrame();
    expect([opcode, payload.readUInt16BE(), payload.toString('utf8', 2)]).toEqual([8, 4406, reason]);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test('of Apollo Kotlin 3.0 before its release, which sends binary frames, is closed with 4400 and words', async () => {
    const harness = await ServerHarness.open();
    const client = new RawClient(harness, OKHTTP_HEADERS, '');
    await client.readHead();
    client.write(encodeFrame('{"type":"connection_init"}', 0x82));
    await expect(client.readMessage()).rejects.toThrow('Closed with 4400 A message must be text');
  });
});
