/** A WebSocket client for tests: it returns every message and the close in order. */
import type { Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { WebSocket, type ClientOptions } from 'ws';

export interface ServerMessage {
  readonly type: string;
  readonly id?: string;
  readonly payload?: Record<string, never> & readonly Record<string, never>[];
}

export interface SocketClose {
  readonly code: number;
  readonly reason: string;
}

export class TestSocket {
  readonly webSocket: WebSocket;
  readonly closed: Promise<SocketClose>;
  readonly opened: Promise<void>;
  readonly #messages: ServerMessage[] = [];
  readonly #nextReaders: ((message: ServerMessage) => void)[] = [];
  #ids = 0;

  constructor(url: string, options: ClientOptions & { readonly protocols?: string[] } = {}) {
    const { protocols = ['graphql-transport-ws'], ...rest } = options;
    this.webSocket = new WebSocket(url, protocols, rest);
    this.opened = new Promise((resolve, reject) => {
      this.webSocket.once('open', resolve);
      this.webSocket.once('error', reject);
    });
    // A test that does not await `opened` must not fail because of it.
    this.opened.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      this.webSocket.once('close', (code, reason) => resolve({ code, reason: reason.toString('utf8') }));
    });
    this.webSocket.on('error', () => undefined);
    this.webSocket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8')) as ServerMessage;
      const resolveNext = this.#nextReaders.shift();
      if (resolveNext) resolveNext(message);
      else this.#messages.push(message);
    });
    onTestFinished(() => this.webSocket.terminate());
  }

  /** Opens a socket and waits for `connection_ack`. */
  static async connect(url: string, credential: string, options: ClientOptions = {}): Promise<TestSocket> {
    const socket = new TestSocket(url, options);
    await socket.sendInit({ authorization: `Bearer ${credential}` });
    const message = await socket.nextMessage();
    if (message.type !== 'connection_ack')
      throw new Error(`Expected connection_ack, but received ${JSON.stringify(message)}`);
    return socket;
  }

  async sendInit(payload?: Record<string, unknown>): Promise<void> {
    await this.opened;
    this.send({ type: 'connection_init', ...(payload === undefined ? {} : { payload }) });
  }

  send(message: object): void {
    this.webSocket.send(JSON.stringify(message));
  }

  subscribe(query: string, variables?: Record<string, unknown>): string {
    const id = `${++this.#ids}`;
    this.send({ type: 'subscribe', id, payload: { query, variables } });
    return id;
  }

  /** Executes a query or mutation and returns its result. No other message may arrive in the meantime. */
  async execute(query: string, variables?: Record<string, unknown>): Promise<ServerMessage> {
    this.subscribe(query, variables);
    const reply = await this.nextMessage();
    if (reply.type === 'next') await this.nextMessage();
    return reply;
  }

  /** The next message. */
  nextMessage(): Promise<ServerMessage> {
    const message = this.#messages.shift();
    return message === undefined ? new Promise((resolve) => this.#nextReaders.push(resolve)) : Promise.resolve(message);
  }

  /** Messages that arrived and were not read with `nextMessage`. */
  get unreadMessages(): readonly ServerMessage[] {
    return this.#messages;
  }

  /** Waits for a ping to be answered, so that the server has handled everything before it. */
  async waitForRoundTrip(): Promise<void> {
    const pong = new Promise((resolve) => this.webSocket.once('pong', resolve));
    this.webSocket.ping();
    await pong;
  }

  /** Closes the TCP connection with a RST, without a close frame or a FIN. */
  resetTcp(): void {
    this.tcpSocket.resetAndDestroy();
  }

  get tcpSocket(): Socket {
    return (this.webSocket as unknown as { _socket: Socket })._socket;
  }
}
