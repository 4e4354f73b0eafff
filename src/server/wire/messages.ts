/** What a server says in graphql-transport-ws, as texts. What clients say, graphql-ws reads and checks. */
import type { ExecutionResult, GraphQLError } from 'graphql';
import { MessageType, parseMessage, type Message } from 'graphql-ws';

export const CONNECTION_ACK_MESSAGE = '{"type":"connection_ack"}';

/** Null: what came with the ping is nested deeper than can be written again, though it could be read. */
export const formatPong = (payload: Readonly<Record<string, unknown>> | null | undefined): string | null => {
  if (payload == null) return '{"type":"pong"}';
  try {
    return JSON.stringify({ type: MessageType.Pong, payload });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
};

/** What stands before the payload of an answer to the operation `id`; `}` stands behind it. */
export const formatNextPrefix = (id: string): string => `{"id":${JSON.stringify(id)},"type":"next","payload":`;

export const formatNext = (id: string, result: ExecutionResult): string =>
  `${formatNextPrefix(id)}${JSON.stringify(result)}}`;

/** The operation is not executed. Its last message. */
export const formatError = (id: string, errors: readonly GraphQLError[]): string =>
  `{"id":${JSON.stringify(id)},"type":"error","payload":${JSON.stringify(errors)}}`;

export const formatComplete = (id: string): string => `{"id":${JSON.stringify(id)},"type":"complete"}`;

/** Null for what is no message at all. */
export const parseClientMessage = (text: string): Message | null => {
  try {
    return parseMessage(text);
  } catch {
    // Whatever is wrong with it, its client is told no more than that.
    return null;
  }
};
