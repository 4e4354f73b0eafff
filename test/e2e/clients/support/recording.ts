/** The recorded requests of GraphQL clients: a file of test/e2e/clients/recordings for each client. */
import { readdirSync, readFileSync } from 'node:fs';

const FOLDER = new URL('../recordings/', import.meta.url);

export interface ClientRecording {
  readonly client: string;
  readonly version: string;
  /** The installed client that sent the requests, or the documentation and source that they follow. */
  readonly source: string;
  /** The ping that the client can send on a socket. Omitted: none. */
  readonly ping?: RecordedPing;
  readonly requests: readonly RecordedRequest[];
}

/** In `head`, `body` and `messages`, {{host}} and {{token}} stand for the address of the server and a JWT. */
export type RecordedRequest = RecordedHttpRequest | RecordedWebSocket;

interface RecordedRequestBase {
  readonly operation: 'query' | 'login' | 'subscription';
  /** The request line and the header lines, in the order of the client. */
  readonly head: readonly string[];
  /** How the server refuses it. Omitted: it gives the answer of the operation. */
  readonly expect?: ExpectedRefusal;
}

export interface RecordedHttpRequest extends RecordedRequestBase {
  readonly body: string;
}

export interface RecordedWebSocket extends RecordedRequestBase {
  /** The first is `connection_init`. A list has the fragments of one message. */
  readonly messages: readonly (string | readonly string[])[];
}

/** A message of graphql-transport-ws, or the payload of a frame in hexadecimal digits. */
export type RecordedPing = { readonly message: string } | { readonly frame: string };

/** One of: the message of the first error, a status of HTTP, a close code. */
export interface ExpectedRefusal {
  readonly error?: string;
  readonly status?: number;
  readonly closeCode?: number;
}

/** The user of the recorded requests. */
export const RECORDED_USER = 'dora';

/** The names of the files, without `.json`. */
export const RECORDING_NAMES: readonly string[] = readdirSync(FOLDER)
  .map((file) => file.replace(/\.json$/, ''))
  .sort();

export const readRecording = (name: string): ClientRecording =>
  JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), 'utf8')) as ClientRecording;

/** The name of the test of a request, as a statement about the server. */
export const nameTestOf = (request: RecordedRequest, index: number): string => {
  const { operation, expect: refusal } = request;
  const isEventStream = request.head.some((line) => /^accept: *text\/event-stream/i.test(line));
  const transport = 'messages' in request ? 'a WebSocket' : isEventStream ? 'Server-Sent Events' : 'HTTP';
  const what = `a ${operation} over ${transport} (request ${index + 1})`;
  if (refusal === undefined) return `answers ${what}`;
  const { closeCode, status, error = `${status}` } = refusal;
  return `refuses ${what} with ${closeCode ?? error}`;
};
