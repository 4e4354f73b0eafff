import { describe, expect, test } from 'vitest';
import {
  findSubprotocolRefusal,
  formatRefusalMessage,
  selectSubprotocol,
} from '../../../../src/server/websocket/subprotocols.ts';

const OURS = 'graphql-transport-ws';

describe('selectSubprotocol', () => {
  test('selects graphql-transport-ws wherever it is offered', () => {
    expect(selectSubprotocol(new Set([OURS]))).toBe(OURS);
    expect(selectSubprotocol(new Set(['graphql-ws', OURS]))).toBe(OURS);
    expect(selectSubprotocol(new Set([OURS, 'graphql-ws']))).toBe(OURS);
  });

  test('selects the first offer if all are unknown, because a client ignores a socket without one of its offers', () => {
    expect(selectSubprotocol(new Set(['graphql-ws', 'actioncable-v1-json']))).toBe('graphql-ws');
    expect(selectSubprotocol(new Set(['GraphQL-Transport-WS']))).toBe('GraphQL-Transport-WS');
  });

  test('selects none if none is offered', () => {
    expect(selectSubprotocol(new Set())).toBe(false);
  });
});

describe('the refusal of a subprotocol', () => {
  test('is null for graphql-transport-ws', () => {
    expect(findSubprotocolRefusal(OURS)).toBeNull();
  });

  test.each(['', 'graphql-ws', 'actioncable-v1-json', 'x'.repeat(5_000), 'constructor', '__proto__'])(
    'names the accepted subprotocol within 123 bytes for "%.30s"',
    (selected) => {
      const refusal = findSubprotocolRefusal(selected);
      expect(refusal).toMatchObject({
        code: 4406,
        reason: expect.stringMatching(/accepted: graphql-transport-ws$/) as string,
      });
      expect(Buffer.byteLength(refusal?.reason ?? '')).toBeLessThanOrEqual(123);
    },
  );

  test('is also a connection_error message for graphql-ws, whose client drops close reasons', () => {
    const reason = { code: 4406, reason: 'accepted: x', isByServer: false };
    expect(formatRefusalMessage('graphql-ws', reason)).toBe(
      '{"type":"connection_error","payload":{"message":"accepted: x"}}',
    );
    expect(formatRefusalMessage('', reason)).toBeNull();
    expect(formatRefusalMessage('actioncable-v1-json', reason)).toBeNull();
  });
});
