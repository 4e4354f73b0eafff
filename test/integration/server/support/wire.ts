/** A raw client of a socket: every message and the close as they come, to be awaited one by one. */
import type { Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { WebSocket, type ClientOptions } from 'ws';

export interface Message {
  readonly type: string;
  readonly id?: string;
  readonly payload?: Record<string, never> & readonly Record<string, never>[];
}

export interface Closed {
  readonly code: number;
  readonly reason: string;
}

export class TestSocket {
  readonly ws: WebSocket;
  readonly closed: Promise<Closed>;
  readonly opened: Promise<void>;
  readonly #messages: Message[] = [];
  readonly #waiting: ((message: Message) => void)[] = [];
  #ids = 0;

  constructor(url: string, options: ClientOptions & { readonly protocols?: string[] } = {}) {
    const { protocols = ['graphql-transport-ws'], ...rest } = options;
    this.ws = new WebSocket(url, protocols, rest);
    this.opened = new Promise((resolve, reject) => {
      this.ws.once('open', resolve);
      this.ws.once('error', reject);
    });
    // Whoever does not wait for it need not hear of it either.
    this.opened.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      this.ws.once('close', (code, reason) => resolve({ code, reason: reason.toString('utf8') }));
    });
    this.ws.on('error', () => undefined);
    this.ws.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8')) as Message;
      const waiting = this.#waiting.shift();
      if (waiting) waiting(message);
      else this.#messages.push(message);
    });
    onTestFinished(() => this.ws.terminate());
  }

  /** Opens and is acknowledged. */
  static async as(url: string, credential: string, options: ClientOptions = {}): Promise<TestSocket> {
    const wire = new TestSocket(url, options);
    await wire.init({ authorization: `Bearer ${credential}` });
    const message = await wire.next();
    if (message.type !== 'connection_ack') throw new Error(`Not acknowledged: ${JSON.stringify(message)}`);
    return wire;
  }

  async init(payload?: Record<string, unknown>): Promise<void> {
    await this.opened;
    this.send({ type: 'connection_init', ...(payload === undefined ? {} : { payload }) });
  }

  send(message: object): void {
    this.ws.send(JSON.stringify(message));
  }

  subscribe(query: string, variables?: Record<string, unknown>): string {
    const id = `${++this.#ids}`;
    this.send({ type: 'subscribe', id, payload: { query, variables } });
    return id;
  }

  /** One reply to one query or mutation; nothing else may come meanwhile. */
  async ask(query: string, variables?: Record<string, unknown>): Promise<Message> {
    this.subscribe(query, variables);
    const reply = await this.next();
    if (reply.type === 'next') await this.next();
    return reply;
  }

  /** The next message. */
  next(): Promise<Message> {
    const message = this.#messages.shift();
    return message === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(message);
  }

  /** What has come and was not asked for. */
  get unread(): readonly Message[] {
    return this.#messages;
  }

  /** Lets a round trip pass: whatever the server had to do before it answered a ping is done. */
  async roundTrip(): Promise<void> {
    const pong = new Promise((resolve) => this.ws.once('pong', resolve));
    this.ws.ping();
    await pong;
  }

  /** As when a machine loses its network and comes back: no close frame, no FIN. */
  reset(): void {
    this.tcp.resetAndDestroy();
  }

  get tcp(): Socket {
    return (this.ws as unknown as { _socket: Socket })._socket;
  }
}
