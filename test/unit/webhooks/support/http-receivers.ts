/** Receivers on this machine, correct and hostile ones, and a sender that may send to them. */
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { WebhookFormatter, WebhookRequest } from '../../../../src/app/ports/webhook-format.ts';
import type { AttemptReport, Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { toMillis } from '../../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { AddressPolicy } from '../../../../src/webhooks/http/address-policy.ts';
import { HttpSender, type HttpSenderSettings } from '../../../../src/webhooks/http/http-sender.ts';
import { standardFormat } from '../../../../src/webhooks/format/standard-webhooks.ts';
import { UrlPolicy } from '../../../../src/webhooks/http/url-policy.ts';
import { createTestDelivery, createTestWebhook } from './webhooks.ts';

/** A timeout that no test reaches. */
export const LONG_TIMEOUT_MS = 15_000;

export interface SenderOverrides extends Partial<Omit<HttpSenderSettings, 'addresses' | 'targets'>> {
  readonly allowPrivate?: readonly string[];
  readonly allowHttp?: boolean;
}

/** Closed when the test is over. */
export const createSender = ({
  allowPrivate = ['127.0.0.0/8', '::1/128'],
  allowHttp = true,
  ...settings
}: SenderOverrides = {}): HttpSender => {
  const addresses = new AddressPolicy(allowPrivate);
  const sender = new HttpSender({
    formats: { STANDARD: standardFormat },
    addressPolicy: addresses,
    urlPolicy: new UrlPolicy(addresses, allowHttp),
    timeoutMs: LONG_TIMEOUT_MS,
    userAgent: 'Porchlight/1.2.3',
    storeNow: () => toMillis(Date.now()),
    wallClockNow: () => Date.now(),
    onInternalError: (error) => {
      throw error;
    },
    ...settings,
  });
  onTestFinished(() => sender.close());
  return sender;
};

export const NEVER_ABORTED = new AbortController().signal;

export const sendDelivery = (
  sender: HttpSender,
  url: string,
  delivery: Partial<Delivery> = {},
  webhook: Partial<WebhookRecord> = {},
): Promise<AttemptReport> =>
  sender.attemptDelivery(createTestWebhook({ url, ...webhook }), createTestDelivery(delivery), NEVER_ABORTED);

/** A format with one request for each event. */
export const oneRequestPerEvent: WebhookFormatter = {
  *createRequests({ url }, { events }) {
    for (const [index, event] of events.entries()) {
      yield {
        url: new URL(url),
        headers: {},
        body: event.cursor,
        deliveredEventCount: index + 1,
      } satisfies WebhookRequest;
    }
  },
};

export interface ReceivedHttpRequest {
  readonly request: IncomingMessage;
  readonly body: string;
  /** The number of its connection; the first one is 1. */
  readonly connection: number;
}

export class HttpReceiver {
  readonly requests: ReceivedHttpRequest[] = [];
  readonly sockets: Socket[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.sockets.push(socket);
      // Tests destroy connections on purpose.
      socket.on('error', () => undefined);
    });
    onTestFinished(() => this.close());
  }

  static async listen(server: Server, host = '127.0.0.1'): Promise<HttpReceiver> {
    const receiver = new HttpReceiver(server);
    server.listen(0, host);
    await once(server, 'listening');
    return receiver;
  }

  /** An HTTP server. `answer` is called for each complete request. */
  static async startHttp(
    answer: (response: ServerResponse, received: ReceivedHttpRequest) => void = (response) => response.end(),
    server: Server = createHttpServer({ keepAliveTimeout: 60_000 }),
  ): Promise<HttpReceiver> {
    const receiver = await HttpReceiver.listen(server);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const connection = receiver.sockets.findIndex(({ remotePort }) => remotePort === request.socket.remotePort) + 1;
        const received = { request, body: Buffer.concat(chunks).toString('utf8'), connection };
        receiver.requests.push(received);
        answer(response, received);
      });
    });
    return receiver;
  }

  /** A TCP server. `speak` is called when the first bytes of a request arrive. */
  static startTcp(speak: (socket: Socket) => void): Promise<HttpReceiver> {
    const server = createTcpServer((socket) => {
      socket.once('data', () => speak(socket));
      socket.resume();
    });
    return HttpReceiver.listen(server);
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }
}
