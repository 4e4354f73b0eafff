/** Formats the messages of graphql-transport-ws that a server sends. graphql-ws parses and validates those of clients. */
import type { ExecutionResult, GraphQLError } from 'graphql';
import { MessageType, validateMessage, type Message, type SubscribeMessage } from 'graphql-ws';

export const CONNECTION_ACK_MESSAGE = '{"type":"connection_ack"}';

/** The answer to a ping. Null if its payload is nested too deeply for JSON.stringify, though JSON.parse accepts it. */
export const formatPongMessage = (payload: Readonly<Record<string, unknown>> | null | undefined): string | null => {
  if (payload == null) return '{"type":"pong"}';
  try {
    return JSON.stringify({ type: MessageType.Pong, payload });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
};

/** The start of a `next` message of the operation `id`. The JSON of the payload and a `}` follow it. */
export const formatNextMessageStart = (id: string): string => `{"id":${JSON.stringify(id)},"type":"next","payload":`;

export const formatNextMessage = (id: string, result: ExecutionResult): string =>
  `${formatNextMessageStart(id)}${JSON.stringify(result)}}`;

/** The `error` message, for an operation that is not executed. It is the operation's last message. */
export const formatErrorMessage = (id: string, errors: readonly GraphQLError[]): string =>
  `{"id":${JSON.stringify(id)},"type":"error","payload":${JSON.stringify(errors)}}`;

export const formatCompleteMessage = (id: string): string => `{"id":${JSON.stringify(id)},"type":"complete"}`;

/** A message of a client. The payload of a `subscribe` is not checked yet: its errors do not close the socket. */
export type ClientMessage =
  | Exclude<Message, SubscribeMessage>
  | {
      readonly type: MessageType.Subscribe;
      readonly id: string;
      readonly payload: Readonly<Record<string, unknown>>;
    };

/** Parses a message of a client. Returns null if it is invalid. */
export const parseClientMessage = (text: string): ClientMessage | null => {
  try {
    const message: unknown = JSON.parse(text);
    return isSubscribeMessage(message) ? message : (validateMessage(message) as Exclude<Message, SubscribeMessage>);
  } catch {
    // `describeInvalidMessage` says why. The errors of graphql-ws repeat payloads, which may hold a credential.
    return null;
  }
};

/** Says, in at most 123 bytes, why `parseClientMessage` returned null. */
export const describeInvalidMessage = (text: string): string => {
  const message = parseJson(text);
  if (message === undefined) return `${INVALID_MESSAGE}: not JSON`;
  if (!isObject(message)) return `${INVALID_MESSAGE}: not an object`;
  const { type } = message;
  if (typeof type !== 'string') return `${INVALID_MESSAGE}: type must be text`;
  const instead = LEGACY_TYPES.get(type);
  if (instead !== undefined) return `${INVALID_MESSAGE}: "${type}" is of another subprotocol; ${instead}`;
  if (!KNOWN_TYPES.has(type)) return `${INVALID_MESSAGE}: unknown type ${JSON.stringify(type.slice(0, 10))}`;
  return `${INVALID_MESSAGE}: "${type}" has a wrong or missing member`;
};

export const INVALID_MESSAGE = 'Invalid message received';

const KNOWN_TYPES: ReadonlySet<string> = new Set(Object.values(MessageType));

/** Types of messages that clients of subscriptions-transport-ws send, and what graphql-transport-ws has instead. */
const LEGACY_TYPES: ReadonlyMap<string, string> = new Map([
  ['start', 'send "subscribe"'],
  ['stop', 'send "complete"'],
  ['connection_terminate', 'close the socket'],
]);

/** Returns undefined if the text is not JSON. */
const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
};

const isSubscribeMessage = (message: unknown): message is Extract<ClientMessage, { type: MessageType.Subscribe }> => {
  if (!isObject(message) || message['type'] !== MessageType.Subscribe) return false;
  const { id, payload } = message;
  return typeof id === 'string' && id !== '' && isObject(payload);
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
