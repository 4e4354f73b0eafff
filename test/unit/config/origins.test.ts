import { describe, expect, test } from 'vitest';
import { originListType } from '../../../src/config/network-value-types.ts';

describe('an allowed origin', () => {
  test.each<[string, readonly string[]]>([
    ['', []],
    ['*', ['*']],
    ['https://app.example.com', ['https://app.example.com']],
    ['https://a.example, http://b.example:3000,,https://a.example', ['https://a.example', 'http://b.example:3000']],
    // The form that browsers send.
    ['HTTPS://App.Example', ['https://app.example']],
    ['https://app.example:443', ['https://app.example']],
    ['http://app.example:80/', ['http://app.example']],
    ['https://bücher.example', ['https://xn--bcher-kva.example']],
    ['http://[2001:DB8:0::1]:3000', ['http://[2001:db8::1]:3000']],
    ['https://localhost', ['https://localhost']],
    // Apps and extensions.
    ['capacitor://localhost/', ['capacitor://localhost']],
    ['Ionic://localhost', ['ionic://localhost']],
    ['app://-', ['app://-']],
    ['tauri://localhost', ['tauri://localhost']],
    ['chrome-extension://abcdefghijklmnop', ['chrome-extension://abcdefghijklmnop']],
  ])('is accepted in the form that browsers send: %j', (text, origins) => {
    expect(originListType.parseText(text)).toEqual({ ok: true, value: origins });
  });

  test.each([
    ['https://*.example.com', '"https://*.example.com" has a wildcard, which matches nothing; list each origin'],
    ['*.example.com', 'has a wildcard'],
    ['https://app.example:*', 'has a wildcard'],
    ['app.example.com', '"app.example.com" has no scheme; write it with https:// or http:// in front'],
    ['localhost:3000', 'has no scheme'],
    ['//app.example', 'has no scheme'],
    ['about:blank', 'has no scheme'],
    ['https://app.example/path', 'has more than scheme, host and port; write https://app.example'],
    ['https://app.example?x=1', 'has more than scheme, host and port; write https://app.example'],
    ['https://App.example/#x', 'has more than scheme, host and port; write https://app.example'],
    ['capacitor://localhost/index.html', 'has more than scheme, host and port; write capacitor://localhost'],
    ['null', '"null" is the origin of sandboxed frames of every site; to allow every origin, write *'],
    ['file://', 'load the page from an app scheme such as app://localhost'],
    ['wss://app.example', 'matches no page'],
    ['ftp://app.example', 'matches no page'],
    ['https://', 'has no valid host'],
    ['https://app.example:99999', 'has no valid host'],
    ['app://', 'has no valid host'],
    ['https://a.example https://b.example', 'contains a space; separate origins by commas'],
    ['https://a.example,b.example', '"b.example" has no scheme'],
  ])('is rejected when it can match nothing: %j', (text, problem) => {
    const result = originListType.parseText(text);
    if (result.ok) throw new Error(`The text was accepted as ${JSON.stringify(result.value)}.`);
    expect(result.expected).toContain('a comma-separated list of origins such as https://app.example.com, or *: ');
    expect(result.expected).toContain(problem);
  });

  test('is rejected with a user name, and its password is not repeated', () => {
    const result = originListType.parseText('https://user:swordfish@app.example');
    expect(result).toMatchObject({ ok: false, expected: expect.stringContaining('has a user name') as string });
    expect(JSON.stringify(result)).not.toContain('swordfish');
  });
});
