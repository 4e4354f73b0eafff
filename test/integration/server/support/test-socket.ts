/** A raw client of a socket: every message and the close as they come, to be awaited one by one. */
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
  readonly #waiting: ((message: ServerMessage) => void)[] = [];
  #ids = 0;

  constructor(url: string, options: ClientOptions & { readonly protocols?: string[] } = {}) {
    const { protocols = ['graphql-transport-ws'], ...rest } = options;
    this.webSocket = new WebSocket(url, protocols, rest);
    this.opened = new Promise((resolve, reject) => {
      this.webSocket.once('open', resolve);
      this.webSocket.once('error', reject);
    });
    // Whoever does not wait for it need not hear of it either.
    this.opened.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      this.webSocket.once('close', (code, reason) => resolve({ code, reason: reason.toString('utf8') }));
    });
    this.webSocket.on('error', () => undefined);
    this.webSocket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8')) as ServerMessage;
      const waiting = this.#waiting.shift();
      if (waiting) waiting(message);
      else this.#messages.push(message);
    });
    onTestFinished(() => this.webSocket.terminate());
  }

  /** Opens and is acknowledged. */
  static async connect(url: string, credential: string, options: ClientOptions = {}): Promise<TestSocket> {
    const wire = new TestSocket(url, options);
    await wire.sendInit({ authorization: `Bearer ${credential}` });
    const message = await wire.nextMessage();
    if (message.type !== 'connection_ack') throw new Error(`Not acknowledged: ${JSON.stringify(message)}`);
    return wire;
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

  /** One reply to one query or mutation; nothing else may come meanwhile. */
  async execute(query: string, variables?: Record<string, unknown>): Promise<ServerMessage> {
    this.subscribe(query, variables);
    const reply = await this.nextMessage();
    if (reply.type === 'next') await this.nextMessage();
    return reply;
  }

  /** The next message. */
  nextMessage(): Promise<ServerMessage> {
    const message = this.#messages.shift();
    return message === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(message);
  }

  /** What has come and was not asked for. */
  get unreadMessages(): readonly ServerMessage[] {
    return this.#messages;
  }

  /** Lets a round trip pass: whatever the server had to do before it answered a ping is done. */
  async waitForRoundTrip(): Promise<void> {
    const pong = new Promise((resolve) => this.webSocket.once('pong', resolve));
    this.webSocket.ping();
    await pong;
  }

  /** As when a machine loses its network and comes back: no close frame, no FIN. */
  resetTcp(): void {
    this.tcpSocket.resetAndDestroy();
  }

  get tcpSocket(): Socket {
    return (this.webSocket as unknown as { _socket: Socket })._socket;
  }
}
