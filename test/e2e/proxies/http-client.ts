/** HTTP/1.1 and HTTP/2 requests with nothing in between that could buffer, pool or repeat them. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as connectHttp2, constants } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { GraphqlSocket, MessageQueue, type GraphqlResult } from '../../support/porchlight-client.ts';

export interface Target {
  /** With http: or https:, without a path. */
  readonly origin: string;
  /** The path before /graphql; empty, or with a slash at its start and none at its end. */
  readonly prefix?: string;
  readonly ca?: string;
  readonly httpVersion: '1.1' | '2';
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Request {
  readonly method?: string;
  /** Behind the prefix. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Several parts are sent as chunks, without a Content-Length. */
  readonly body?: string | readonly string[];
}

export interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
  /** Closes the connection without reading the rest. */
  readonly abort: () => void;
}

export const sendRequest = (target: Target, { headers, ...request }: Request): Promise<Response> => {
  const send = target.httpVersion === '2' ? sendHttp2 : sendHttp1;
  return send(target, { ...request, headers: { ...target.headers, ...headers } });
};

const sendHttp1 = ({ origin, prefix = '', ca }: Target, request: Request): Promise<Response> =>
  new Promise((resolve, reject) => {
    const { method = 'GET', path, headers = {}, body } = request;
    const options = { method, headers: withLength(headers, body), agent: false };
    const receive = (response: IncomingMessage): void =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: response,
        abort: () => response.destroy(),
      });
    const url = `${origin}${prefix}${path}`;
    const sent = url.startsWith('https:')
      ? httpsRequest(url, { ...options, ca }, receive)
      : httpRequest(url, options, receive);
    sent.on('error', reject);
    for (const part of partsOf(body)) sent.write(part);
    sent.end();
  });

const sendHttp2 = ({ origin, prefix = '', ca }: Target, request: Request): Promise<Response> =>
  new Promise((resolve, reject) => {
    const { method = 'GET', path, headers = {}, body } = request;
    const session = connectHttp2(origin, ca === undefined ? {} : { ca });
    session.on('error', reject);
    const stream = session.request(
      { ':method': method, ':path': `${prefix}${path}`, ...withLength(headers, body) },
      { endStream: body === undefined },
    );
    stream.on('error', reject);
    stream.on('close', () => session.destroy());
    stream.on('response', (received) =>
      resolve({
        status: received[':status'] ?? 0,
        headers: received,
        body: stream,
        abort: () => stream.close(constants.NGHTTP2_CANCEL),
      }),
    );
    if (body === undefined) return;
    for (const part of partsOf(body)) stream.write(part);
    stream.end();
  });

const partsOf = (body: Request['body']): readonly string[] => (typeof body === 'string' ? [body] : (body ?? []));

const withLength = (headers: Readonly<Record<string, string>>, body: Request['body']): Record<string, string> =>
  typeof body === 'string' ? { ...headers, 'content-length': String(Buffer.byteLength(body)) } : { ...headers };

export interface Operation {
  readonly token: string | null;
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>>;
}

const JSON_HEADERS = { 'content-type': 'application/json' };

const headersOf = (token: string | null, accept: string): Record<string, string> => ({
  accept,
  ...(token === null ? {} : { authorization: `Bearer ${token}` }),
});

/** Posts a query or mutation. */
export const post = async <T>(target: Target, { token, query, variables }: Operation): Promise<GraphqlResult<T>> => {
  const response = await sendRequest(target, {
    method: 'POST',
    path: '/graphql',
    headers: { ...headersOf(token, 'application/json'), ...JSON_HEADERS },
    body: JSON.stringify({ query, variables }),
  });
  return JSON.parse(await text(response.body)) as GraphqlResult<T>;
};

export interface EventStream extends AsyncDisposable {
  readonly status: number;
  readonly headers: Response['headers'];
  /** Everything between two empty lines: events, and comments as `:`. Closed when the stream ends. */
  readonly blocks: MessageQueue<string>;
  /** Waits for the next event and returns its data. */
  readonly nextResult: <T>() => Promise<GraphqlResult<T>>;
  /** When the stream ended, by performance.now(). */
  readonly ended: Promise<number>;
}

/** Opens a subscription over Server-Sent Events, by GET or POST. */
export const openStream = async (
  target: Target,
  method: 'GET' | 'POST',
  { token, query, variables }: Operation,
): Promise<EventStream> => {
  const headers = headersOf(token, 'text/event-stream');
  const parameters = new URLSearchParams({ query, variables: JSON.stringify(variables ?? {}) });
  const response = await sendRequest(
    target,
    method === 'GET'
      ? { method, path: `/graphql?${parameters.toString()}`, headers }
      : {
          method,
          path: '/graphql',
          headers: { ...headers, ...JSON_HEADERS },
          body: JSON.stringify({ query, variables }),
        },
  );
  const blocks = new MessageQueue<string>();
  const read = async (): Promise<void> => {
    let rest = '';
    for await (const chunk of response.body.setEncoding('utf8') as AsyncIterable<string>) {
      const parts = (rest + chunk).split('\n\n');
      rest = parts.pop() ?? '';
      for (const part of parts) blocks.push(part);
    }
  };
  const ended = read()
    .then(
      () => blocks.close(new Error('The stream has ended.')),
      (error: unknown) => blocks.close(error as Error),
    )
    .then(() => performance.now());
  return {
    status: response.status,
    headers: response.headers,
    blocks,
    nextResult: async <T>() => {
      const block = await blocks.nextMatching((each) => each.startsWith('event: next\n'));
      return JSON.parse(block.slice(block.indexOf('data: ') + 'data: '.length)) as GraphqlResult<T>;
    },
    ended,
    [Symbol.asyncDispose]: async () => {
      response.abort();
      await ended;
    },
  };
};

/** Opens a WebSocket over HTTP/1.1 and waits for the acknowledgement. */
export const openSocket = ({ origin, prefix = '', ca }: Target, token: string): Promise<GraphqlSocket> =>
  GraphqlSocket.open({ origin: `${origin}${prefix}` }, token, { ws: ca === undefined ? {} : { ca } });
