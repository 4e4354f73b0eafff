import { describe, expect, test } from 'vitest';
import { describeInvalidMessage, parseClientMessage } from '../../../../src/server/wire/messages.ts';

describe('describeInvalidMessage', () => {
  test.each([
    ['{', 'not JSON'],
    ['', 'not JSON'],
    ['null', 'not an object'],
    ['[]', 'not an object'],
    ['"ping"', 'not an object'],
    ['{}', 'type must be text'],
    ['{"type":1}', 'type must be text'],
    ['{"type":"ka"}', 'unknown type "ka"'],
    ['{"type":"constructor"}', 'unknown type "constructo"'],
    [
      `{"type":"${'"\\u0000'.replace('"', '\\"').repeat(1_000)}"}`,
      'unknown type "\\"\\u0000\\"\\u0000\\"\\u0000\\"\\u0000\\"\\u0000"',
    ],
    ['{"type":"start","id":"1"}', '"start" is of another subprotocol; send "subscribe"'],
    ['{"type":"stop","id":"1"}', '"stop" is of another subprotocol; send "complete"'],
    ['{"type":"connection_terminate"}', '"connection_terminate" is of another subprotocol; close the socket'],
    ['{"type":"subscribe","payload":{}}', '"subscribe" has a wrong or missing member'],
    ['{"type":"complete","id":null}', '"complete" has a wrong or missing member'],
    ['{"type":"connection_init","payload":"Bearer secret"}', '"connection_init" has a wrong or missing member'],
  ])('says of %.60s what is wrong, within 123 bytes', (text, reason) => {
    expect(parseClientMessage(text)).toBeNull();
    const description = describeInvalidMessage(text);
    expect(description).toBe(`Invalid message received: ${reason}`);
    expect(Buffer.byteLength(description)).toBeLessThanOrEqual(123);
  });

  test('stays within 123 bytes for a type of characters that take many bytes', () => {
    for (const character of ['\u{1f600}', '\\ud800', '\u4e00', '\\u0001']) {
      const description = describeInvalidMessage(`{"type":"${character.repeat(50)}"}`);
      expect(Buffer.byteLength(description)).toBeLessThanOrEqual(123);
    }
  });
});
