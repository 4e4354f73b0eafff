/** Clients that read as slowly as a test needs: a plain TCP connection, read a few bytes at a time. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { type GraphqlResult, MessageQueue } from '../porchlight-client.ts';
import type { PorchlightProcess } from '../porchlight-process.ts';

type Server = Pick<PorchlightProcess, 'origin'>;
type Variables = Readonly<Record<string, unknown>>;

export interface ReceivedMessage {
  readonly type: string;
  readonly id?: string;
  readonly payload?: GraphqlResult<unknown> & readonly { readonly extensions?: Readonly<Record<string, unknown>> }[];
}

/** The speed of reading: everything, one byte each second, or nothing. */
type ReadPace = 'all' | 'crawl' | 'nothing';

const READ_BUFFER_BYTES = 64 * 1024;

/** A connection that is read at a given pace. Nothing is read ahead: unread bytes stay in the kernel. */
export abstract class SlowReader {
  readonly messages = new MessageQueue<ReceivedMessage>();
  readonly tcp: Socket;
  /** Called with each message. By default, messages are queued. */
  onMessage: (message: ReceivedMessage) => void = (message) => this.messages.push(message);
  /** Number of bytes read. */
  bytesRead = 0;
  #pace: ReadPace = 'all';
  #ticking: NodeJS.Timeout | undefined;
  #head: Buffer | null = Buffer.alloc(0);

  protected constructor(server: Server) {
    const { hostname, port } = new URL(server.origin);
    this.tcp = connect({
      host: hostname,
      port: Number(port),
      onread: {
        buffer: () => Buffer.alloc(this.#pace === 'all' ? READ_BUFFER_BYTES : 1),
        callback: (length, buffer) => {
          this.bytesRead += length;
          this.#skipHead(Buffer.from(buffer.subarray(0, length)));
          if (this.#pace !== 'all') this.tcp.pause();
          return this.#pace === 'all';
        },
      },
    });
    this.tcp.on('error', () => undefined);
    this.tcp.on('close', () => {
      clearInterval(this.#ticking);
      this.messages.close(new Error('The connection is closed.'));
    });
  }

  /** Sets the pace of reading from now on. The next read may return a little more. */
  setPace(pace: ReadPace): void {
    clearInterval(this.#ticking);
    this.#pace = pace;
    if (pace === 'crawl') this.#ticking = setInterval(() => this.tcp.resume(), 1_000);
    if (pace === 'all') this.tcp.resume();
    else this.tcp.pause();
  }

  reset(): void {
    this.tcp.resetAndDestroy();
  }

  protected abstract handleBytes(bytes: Buffer): void;

  #skipHead(bytes: Buffer): void {
    if (this.#head === null) return this.handleBytes(bytes);
    this.#head = Buffer.concat([this.#head, bytes]);
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0) return;
    const rest = this.#head.subarray(end + 4);
    this.#head = null;
    if (rest.length > 0) this.handleBytes(rest);
  }
}

/** Reads slowly over a WebSocket. */
export class SlowSocket extends SlowReader {
  #left: Buffer[] = [];
  #size = 0;
  #needed = 2;
  #ids = 0;

  /** Opens a socket and waits for its acknowledgement. */
  static async open(server: Server, token: string): Promise<SlowSocket> {
    const socket = new SlowSocket(server);
    socket.tcp.write(
      `GET /graphql HTTP/1.1\r\nHost: porchlight\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n`,
    );
    socket.send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
    await socket.messages.nextMatching(({ type }) => type === 'connection_ack');
    return socket;
  }

  subscribe(query: string, variables?: Variables): string {
    const id = `${++this.#ids}`;
    this.send({ id, type: 'subscribe', payload: { query, variables } });
    return id;
  }

  send(message: unknown): void {
    this.#sendFrame(0x81, Buffer.from(JSON.stringify(message)));
  }

  /** Sends a ping frame. */
  ping(): void {
    this.#sendFrame(0x89, Buffer.alloc(0));
  }

  #sendFrame(first: number, payload: Buffer): void {
    // A mask of zeros leaves the payload unchanged.
    const { length } = payload;
    const header = Buffer.alloc(length < 126 ? 6 : length < 0x1_0000 ? 8 : 14);
    header[0] = first;
    header[1] = 0x80 | (length < 126 ? length : length < 0x1_0000 ? 126 : 127);
    if (length >= 0x1_0000) header.writeBigUInt64BE(BigInt(length), 2);
    else if (length >= 126) header.writeUInt16BE(length, 2);
    this.tcp.write(Buffer.concat([header, payload]));
  }

  protected override handleBytes(bytes: Buffer): void {
    this.#left.push(bytes);
    this.#size += bytes.length;
    if (this.#size < this.#needed) return;
    let left = Buffer.concat(this.#left);
    for (;;) {
      const frame = parseFrame(left);
      if (typeof frame === 'number') {
        this.#needed = frame;
        break;
      }
      left = left.subarray(frame.end);
      if (frame.opcode === 1) this.onMessage(JSON.parse(frame.payload.toString('utf8')) as ReceivedMessage);
      else if (frame.opcode === 9) this.#sendFrame(0x8a, frame.payload);
      else if (frame.opcode === 8) {
        const reason = frame.payload.subarray(2).toString('utf8');
        this.onMessage({ type: `close ${frame.payload.readUInt16BE(0)} ${reason}` });
      }
    }
    this.#left = [left];
    this.#size = left.length;
  }
}

/** Returns the first frame of these bytes, or the number of bytes needed to decode it. */
const parseFrame = (bytes: Buffer): number | { opcode: number; payload: Buffer; end: number } => {
  if (bytes.length < 2) return 2;
  const short = (bytes[1] ?? 0) & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return start;
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const end = start + length;
  return bytes.length < end ? end : { opcode: (bytes[0] ?? 0) & 0x0f, payload: bytes.subarray(start, end), end };
};

/** Reads slowly over HTTP, as Server-Sent Events. */
export class SlowStream extends SlowReader {
  #chunks: Buffer[] = [];
  #size = 0;
  #needed = 1;
  readonly #text: string[] = [];

  static open(server: Server, token: string, query: string, variables?: Variables): SlowStream {
    const stream = new SlowStream(server);
    const body = JSON.stringify({ query, variables });
    stream.tcp.write(
      `POST /graphql HTTP/1.1\r\nHost: porchlight\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    return stream;
  }

  protected override handleBytes(bytes: Buffer): void {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    if (this.#size < this.#needed) return;
    let left = Buffer.concat(this.#chunks);
    for (;;) {
      const line = left.indexOf('\r\n');
      if (line < 0) break;
      const length = parseInt(left.toString('latin1', 0, line), 16);
      const end = line + 2 + length + 2;
      this.#needed = end;
      if (left.length < end) break;
      this.#handleChunk(left.toString('utf8', line + 2, end - 2));
      left = left.subarray(end);
      this.#needed = 1;
    }
    this.#chunks = [left];
    this.#size = left.length;
  }

  /** A chunk may end at any position between events, and an event may span chunks. */
  #handleChunk(text: string): void {
    this.#text.push(text);
    if (!text.endsWith('\n\n')) return;
    for (const block of this.#text.splice(0).join('').split('\n\n')) {
      const type = /^event: ?(.*)$/m.exec(block)?.[1];
      const data = /^data: ?(.*)$/m.exec(block)?.[1];
      if (type === undefined) continue;
      this.onMessage(
        data === undefined || data === ''
          ? { type }
          : { type, payload: JSON.parse(data) as NonNullable<ReceivedMessage['payload']> },
      );
    }
  }
}
