/** What a test says to a server over the wire, and hears from it: HTTP by fetch, and a WebSocket it can misuse. */
import type { Socket as TcpSocket } from 'node:net';
import { type Client, createClient } from 'graphql-ws';
import { type ClientOptions, WebSocket } from 'ws';
import type { PorchlightProcess } from './porchlight-process.ts';
import { within } from './porchlight-process.ts';

/** What a WebSocket begins with, for who speaks it by hand. */
export const UPGRADE =
  'GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n';

export const HEARD_WITHIN_MS = 10_000;

type Variables = Readonly<Record<string, unknown>>;

export interface ErrorSeen {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: { readonly code?: string } & Readonly<Record<string, unknown>>;
}

export interface Answer<T> {
  readonly data?: T | null;
  readonly errors?: readonly ErrorSeen[];
}

/** One operation over HTTP. `token` goes into the Authorization header; null sends none. */
export const gql = async <T>(
  server: Pick<PorchlightProcess, 'origin'>,
  token: string | null,
  query: string,
  variables?: Variables,
): Promise<Answer<T>> => {
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
    return JSON.parse(text) as Answer<T>;
  } catch {
    throw new Error(`No GraphQL answer but ${response.status} ${text.slice(0, 500)}`);
  }
};

/** The data of an answer. @throws when it has errors. */
export const dataOf = <T>(answer: Answer<T>): T => {
  if (answer.errors !== undefined || answer.data == null) throw new Error(`Refused: ${JSON.stringify(answer.errors)}`);
  return answer.data;
};

/** One operation over HTTP that must succeed. */
export const ask = async <T>(
  server: Pick<PorchlightProcess, 'origin'>,
  token: string | null,
  query: string,
  variables?: Variables,
): Promise<T> => dataOf(await gql<T>(server, token, query, variables));

/** `extensions.code` of the first error; null when there is none. */
export const codeOf = (answer: Answer<unknown>): string | null =>
  answer.errors === undefined ? null : (answer.errors[0]?.extensions?.code ?? '(no code)');

/** Everything heard so far, and what comes next. */
export class Inbox<T> {
  readonly all: T[] = [];
  /** When each of them was heard, by performance.now(). */
  readonly times: number[] = [];
  #read = 0;
  #closed: Error | null = null;
  #wake: (() => void)[] = [];

  push(item: T): void {
    this.all.push(item);
    this.times.push(performance.now());
    this.#wakeAll();
  }

  /** Nothing more will come. */
  close(reason: Error): void {
    this.#closed ??= reason;
    this.#wakeAll();
  }

  /** The first item that was not read yet. @throws when none comes in time, or none can come any more. */
  async next(ms = HEARD_WITHIN_MS): Promise<T> {
    return this.find(() => true, ms);
  }

  /** Reads on until an item fits. */
  async find(fits: (item: T) => boolean, ms = HEARD_WITHIN_MS): Promise<T> {
    const deadline = performance.now() + ms;
    for (;;) {
      while (this.#read < this.all.length) {
        const item = this.all[this.#read++] as T;
        if (fits(item)) return item;
      }
      if (this.#closed) throw this.#closed;
      const left = deadline - performance.now();
      const words = () => `Nothing that fits came within ${ms} ms. Heard: ${JSON.stringify(this.all).slice(0, 2_000)}`;
      if (left <= 0) throw new Error(words());
      await within(new Promise<void>((resolve) => this.#wake.push(resolve)), left, words);
    }
  }

  #wakeAll(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

/** The client library that most people use, which neither retries nor connects before it is needed. */
export const libraryClient = (server: Pick<PorchlightProcess, 'origin'>, token: string | null): Client =>
  createClient({
    url: `${server.origin.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    ...(token === null ? {} : { connectionParams: { authorization: `Bearer ${token}` } }),
  });

export interface Closed {
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
  /** Goes into the connection parameters as it is; by default `Bearer` and the token. */
  readonly authorization?: string;
}

/** A `graphql-transport-ws` socket, spoken by hand so that a test can also do what a good client never does. */
export class Socket {
  readonly ws: WebSocket;
  /** Every frame of text from the server. */
  readonly frames = new Inbox<Frame>();
  readonly closed: Promise<Closed>;
  #tcp: TcpSocket | null = null;
  #id = 0;
  readonly #subscriptions = new Map<string, Inbox<Answer<unknown>>>();

  constructor(server: Pick<PorchlightProcess, 'origin'>, options: ClientOptions = {}) {
    this.ws = new WebSocket(`${server.origin.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', options);
    this.ws.on('upgrade', (response) => (this.#tcp = response.socket));
    this.ws.on('error', () => undefined);
    this.ws.on('message', (data: Buffer) => this.#hear(JSON.parse(data.toString('utf8')) as Frame));
    this.closed = new Promise((resolve) => {
      this.ws.on('close', (code, reason) => {
        const closed = new Error(`The socket was closed with ${code} ${reason.toString()}`);
        this.frames.close(closed);
        for (const inbox of this.#subscriptions.values()) inbox.close(closed);
        resolve({ code, reason: reason.toString(), at: performance.now() });
      });
    });
  }

  /** Opens a socket and is acknowledged. @throws when it is not. */
  static async open(
    server: Pick<PorchlightProcess, 'origin'>,
    token: string | null,
    options: SocketOptions = {},
  ): Promise<Socket> {
    const socket = new Socket(server, options.ws);
    await socket.init(token, options.authorization);
    await socket.frames.find(({ type }) => type === 'connection_ack');
    return socket;
  }

  /** Says who it is, and waits for no answer. */
  async init(token: string | null, authorization = `Bearer ${token}`): Promise<void> {
    if (this.ws.readyState === WebSocket.CONNECTING) {
      await new Promise<void>((resolve, reject) => this.ws.once('open', resolve).once('error', reject));
    }
    this.send({ type: 'connection_init', ...(token === null ? {} : { payload: { authorization } }) });
  }

  send(frame: unknown): void {
    this.ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** A subscription, or any other operation: each of its results, as they come. */
  subscribe<T>(query: string, variables?: Variables): Inbox<Answer<T>> & { readonly id: string } {
    const id = String(++this.#id);
    const inbox = Object.assign(new Inbox<Answer<T>>(), { id });
    this.#subscriptions.set(id, inbox);
    this.send({ id, type: 'subscribe', payload: { query, variables } });
    return inbox;
  }

  /** One query or mutation. */
  execute<T>(query: string, variables?: Variables): Promise<Answer<T>> {
    return this.subscribe<T>(query, variables).next();
  }

  /** One query or mutation that must succeed. */
  async ask<T>(query: string, variables?: Variables): Promise<T> {
    return dataOf(await this.execute<T>(query, variables));
  }

  complete(id: string): void {
    this.send({ id, type: 'complete' });
  }

  /** A good-bye by the protocol, with code 1000. */
  close(code = 1000, reason = ''): Promise<Closed> {
    this.ws.close(code, reason);
    return this.closed;
  }

  /** The connection ends without a close frame. */
  fin(): void {
    this.tcp.end();
  }

  /** The connection is gone, as when a process was killed and the kernel says so. */
  rst(): void {
    this.tcp.resetAndDestroy();
  }

  /** The connection itself, to be paused or broken. */
  get tcp(): TcpSocket {
    if (this.#tcp === null) throw new Error('The socket is not open yet.');
    return this.#tcp;
  }

  get open(): boolean {
    return this.ws.readyState === WebSocket.OPEN;
  }

  #hear(frame: Frame): void {
    this.frames.push(frame);
    const inbox = frame.id === undefined ? undefined : this.#subscriptions.get(frame.id);
    if (inbox === undefined) return;
    if (frame.type === 'next') inbox.push(frame.payload as Answer<unknown>);
    else if (frame.type === 'error') inbox.push({ errors: frame.payload as readonly ErrorSeen[] });
    else if (frame.type === 'complete') inbox.close(new Error('The subscription is complete.'));
  }
}
