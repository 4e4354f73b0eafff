/** Clients of a server process: GraphQL over HTTP by fetch, and a WebSocket client that can violate the protocol. */
import type { Socket as TcpSocket } from 'node:net';
import { type Client, createClient } from 'graphql-ws';
import { type ClientOptions, WebSocket } from 'ws';
import type { PorchlightProcess } from './porchlight-process.ts';
import { withTimeout } from './porchlight-process.ts';

/** The upgrade request of a WebSocket, for tests that write raw bytes. */
export const UPGRADE_REQUEST =
  'GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n';

export const MESSAGE_TIMEOUT_MS = 10_000;

type Variables = Readonly<Record<string, unknown>>;

export interface GraphqlErrorResult {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: { readonly code?: string } & Readonly<Record<string, unknown>>;
}

export interface GraphqlResult<T> {
  readonly data?: T | null;
  readonly errors?: readonly GraphqlErrorResult[];
}

/** Posts one operation over HTTP. `token` is sent in the Authorization header; null sends no header. */
export const postOperation = async <T>(
  server: Pick<PorchlightProcess, 'origin'>,
  token: string | null,
  query: string,
  variables?: Variables,
): Promise<GraphqlResult<T>> => {
  const response = await fetch(`${server.origin}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
  });
  const text = await response.text();
  try {
    return JSON.parse(text) as GraphqlResult<T>;
  } catch {
    throw new Error(`The response is not JSON: ${response.status} ${text.slice(0, 500)}`);
  }
};

/** The data of a result. @throws when it has errors or no data. */
export const dataOf = <T>(answer: GraphqlResult<T>): T => {
  if (answer.errors !== undefined || answer.data == null)
    throw new Error(`The operation failed: ${JSON.stringify(answer.errors)}`);
  return answer.data;
};

/** Posts one operation over HTTP and returns its data. @throws when it fails. */
export const postForData = async <T>(
  server: Pick<PorchlightProcess, 'origin'>,
  token: string | null,
  query: string,
  variables?: Variables,
): Promise<T> => dataOf(await postOperation<T>(server, token, query, variables));

/** `extensions.code` of the first error; null when there is none. */
export const codeOf = (answer: GraphqlResult<unknown>): string | null =>
  answer.errors === undefined ? null : (answer.errors[0]?.extensions?.code ?? '(no code)');

/** All messages received so far, and a cursor to read them one by one. */
export class MessageQueue<T> {
  readonly all: T[] = [];
  /** When each message was received, by performance.now(). */
  readonly receivedAt: number[] = [];
  #read = 0;
  #closed: Error | null = null;
  #waiting: (() => void)[] = [];

  push(item: T): void {
    this.all.push(item);
    this.receivedAt.push(performance.now());
    this.#resumeWaiting();
  }

  /** Ends the queue: readers get `reason` once all messages are read. */
  close(reason: Error): void {
    this.#closed ??= reason;
    this.#resumeWaiting();
  }

  /** Reads the next message. @throws when none is received within `ms`, or the queue is closed. */
  async next(ms = MESSAGE_TIMEOUT_MS): Promise<T> {
    return this.nextMatching(() => true, ms);
  }

  /** Reads messages until one matches; the others are skipped. */
  async nextMatching(matches: (item: T) => boolean, ms = MESSAGE_TIMEOUT_MS): Promise<T> {
    const deadline = performance.now() + ms;
    for (;;) {
      while (this.#read < this.all.length) {
        const item = this.all[this.#read++] as T;
        if (matches(item)) return item;
      }
      if (this.#closed) throw this.#closed;
      const remainingMs = deadline - performance.now();
      const message = () =>
        `No matching message was received within ${ms} ms. Received: ${JSON.stringify(this.all).slice(0, 2_000)}`;
      if (remainingMs <= 0) throw new Error(message());
      await withTimeout(new Promise<void>((resolve) => this.#waiting.push(resolve)), remainingMs, message);
    }
  }

  #resumeWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}

/** The graphql-ws client. It connects at the first operation and does not retry. */
export const createLibraryClient = (server: Pick<PorchlightProcess, 'origin'>, token: string | null): Client =>
  createClient({
    url: `${server.origin.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    ...(token === null ? {} : { connectionParams: { authorization: `Bearer ${token}` } }),
  });

export interface SocketClose {
  readonly code: number;
  readonly reason: string;
  /** By performance.now(). */
  readonly at: number;
}

interface Frame {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

export interface SocketOptions {
  readonly ws?: ClientOptions;
  /** The `authorization` connection parameter. Default: `Bearer` and the token. */
  readonly authorization?: string;
}

/** A `graphql-transport-ws` client whose messages are written by hand, so that a test can violate the protocol. */
export class GraphqlSocket {
  readonly ws: WebSocket;
  /** Every message from the server. */
  readonly frames = new MessageQueue<Frame>();
  readonly closed: Promise<SocketClose>;
  #tcp: TcpSocket | null = null;
  #id = 0;
  readonly #subscriptions = new Map<string, MessageQueue<GraphqlResult<unknown>>>();

  constructor(server: Pick<PorchlightProcess, 'origin'>, options: ClientOptions = {}) {
    this.ws = new WebSocket(`${server.origin.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', options);
    this.ws.on('upgrade', (response) => (this.#tcp = response.socket));
    this.ws.on('error', () => undefined);
    this.ws.on('message', (data: Buffer) => this.#receiveFrame(JSON.parse(data.toString('utf8')) as Frame));
    this.closed = new Promise((resolve) => {
      this.ws.on('close', (code, reason) => {
        const closed = new Error(`The socket was closed with ${code} ${reason.toString()}`);
        this.frames.close(closed);
        for (const queue of this.#subscriptions.values()) queue.close(closed);
        resolve({ code, reason: reason.toString(), at: performance.now() });
      });
    });
  }

  /** Opens a socket and waits for the acknowledgement. @throws when the socket is closed instead. */
  static async open(
    server: Pick<PorchlightProcess, 'origin'>,
    token: string | null,
    options: SocketOptions = {},
  ): Promise<GraphqlSocket> {
    const socket = new GraphqlSocket(server, options.ws);
    await socket.init(token, options.authorization);
    await socket.frames.nextMatching(({ type }) => type === 'connection_ack');
    return socket;
  }

  /** Sends connection_init after the socket is open. Does not wait for the acknowledgement. */
  async init(token: string | null, authorization = `Bearer ${token}`): Promise<void> {
    if (this.ws.readyState === WebSocket.CONNECTING) {
      await new Promise<void>((resolve, reject) => this.ws.once('open', resolve).once('error', reject));
    }
    this.send({ type: 'connection_init', ...(token === null ? {} : { payload: { authorization } }) });
  }

  send(frame: unknown): void {
    this.ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Sends an operation and returns the queue of its results. */
  subscribe<T>(query: string, variables?: Variables): MessageQueue<GraphqlResult<T>> & { readonly id: string } {
    const id = String(++this.#id);
    const queue = Object.assign(new MessageQueue<GraphqlResult<T>>(), { id });
    this.#subscriptions.set(id, queue);
    this.send({ id, type: 'subscribe', payload: { query, variables } });
    return queue;
  }

  /** Executes one query or mutation. */
  execute<T>(query: string, variables?: Variables): Promise<GraphqlResult<T>> {
    return this.subscribe<T>(query, variables).next();
  }

  /** Executes one query or mutation and returns its data. @throws when it fails. */
  async executeForData<T>(query: string, variables?: Variables): Promise<T> {
    return dataOf(await this.execute<T>(query, variables));
  }

  complete(id: string): void {
    this.send({ id, type: 'complete' });
  }

  /** Closes the socket with a close frame and waits for the close. */
  close(code = 1000, reason = ''): Promise<SocketClose> {
    this.ws.close(code, reason);
    return this.closed;
  }

  /** Ends the TCP connection with FIN, without a close frame. */
  sendFin(): void {
    this.tcp.end();
  }

  /** Resets the TCP connection with RST, as the kernel does for a killed process. */
  sendReset(): void {
    this.tcp.resetAndDestroy();
  }

  /** The TCP connection, which tests pause or break. */
  get tcp(): TcpSocket {
    if (this.#tcp === null) throw new Error('The socket is not open yet.');
    return this.#tcp;
  }

  get open(): boolean {
    return this.ws.readyState === WebSocket.OPEN;
  }

  #receiveFrame(frame: Frame): void {
    this.frames.push(frame);
    const queue = frame.id === undefined ? undefined : this.#subscriptions.get(frame.id);
    if (queue === undefined) return;
    if (frame.type === 'next') queue.push(frame.payload as GraphqlResult<unknown>);
    else if (frame.type === 'error') queue.push({ errors: frame.payload as readonly GraphqlErrorResult[] });
    else if (frame.type === 'complete') queue.close(new Error('The subscription is complete.'));
  }
}
