/** Which subprotocol an upgrade gets, and what a client learns whose subprotocols are all unknown. */
import { CloseCode, DEPRECATED_GRAPHQL_WS_PROTOCOL, GRAPHQL_TRANSPORT_WS_PROTOCOL } from 'graphql-ws';
import type { CloseReason } from './close-reasons.ts';

/**
 * Selects graphql-transport-ws if it is offered, otherwise the first offer: a client whose offers are all ignored fails
 * by itself, with 1006 and its own message, and never reads a close reason.
 * @param offered in the order of the client. `ws` accepts tokens (RFC 9110, 5.6.2) only, so each can be sent in a header.
 * @returns false if nothing is offered.
 */
export const selectSubprotocol = (offered: ReadonlySet<string>): string | false => {
  if (offered.has(GRAPHQL_TRANSPORT_WS_PROTOCOL)) return GRAPHQL_TRANSPORT_WS_PROTOCOL;
  const [first = false] = offered;
  return first;
};

/** @param selected the subprotocol of the socket; empty: none. @returns null if the server speaks it. */
export const findSubprotocolRefusal = (selected: string): CloseReason | null => {
  if (selected === GRAPHQL_TRANSPORT_WS_PROTOCOL) return null;
  const reason = REASONS.get(selected) ?? `Subprotocol not acceptable; accepted: ${GRAPHQL_TRANSPORT_WS_PROTOCOL}`;
  return { code: CloseCode.SubprotocolNotAcceptable, reason, isByServer: false };
};

/** By subprotocol. The name of an unknown one is not repeated: a close reason has at most 123 bytes. */
const REASONS: ReadonlyMap<string, string> = new Map([
  ['', `No subprotocol offered; accepted: ${GRAPHQL_TRANSPORT_WS_PROTOCOL}`],
  [
    DEPRECATED_GRAPHQL_WS_PROTOCOL,
    `Subprotocol ${DEPRECATED_GRAPHQL_WS_PROTOCOL} (subscriptions-transport-ws) not acceptable; accepted: ${GRAPHQL_TRANSPORT_WS_PROTOCOL}`,
  ],
]);

/**
 * A message that a client of this subprotocol shows to its user; null: the close reason is all. The client
 * subscriptions-transport-ws drops close reasons but reports a `connection_error`.
 */
export const formatRefusalMessage = (selected: string, { reason }: CloseReason): string | null =>
  selected === DEPRECATED_GRAPHQL_WS_PROTOCOL
    ? JSON.stringify({ type: 'connection_error', payload: { message: reason } })
    : null;
