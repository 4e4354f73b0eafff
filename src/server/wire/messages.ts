/** Formats the messages of graphql-transport-ws that a server sends. graphql-ws parses and validates those of clients. */
import type { ExecutionResult, GraphQLError } from 'graphql';
import { MessageType, parseMessage, type Message } from 'graphql-ws';

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

/** Parses a message of a client. Returns null if it is invalid. */
export const parseClientMessage = (text: string): Message | null => {
  try {
    return parseMessage(text);
  } catch {
    // The client receives a fixed reason, so the details are not needed.
    return null;
  }
};
