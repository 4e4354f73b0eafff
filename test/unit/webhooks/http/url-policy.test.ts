import { describe, expect, it } from 'vitest';
import { Addresses } from '../../../../src/webhooks/http/address-policy.ts';
import { Targets } from '../../../../src/webhooks/http/url-policy.ts';

const strict = new Targets(new Addresses([]), false);
const withHttp = new Targets(new Addresses([]), true);
const local = new Targets(new Addresses(['127.0.0.0/8', '10.0.0.0/8']), true);

const NOT_PUBLIC = /^Nothing may be sent to .+: it is not a public address/;

describe('a URL', () => {
  it.each([
    'https://hooks.example.com/presence',
    'https://hooks.example.com:8443/a?b=c#d',
    'https://hooks.example.com./',
    'https://8.8.8.8/',
    'https://[2606:4700::1111]/',
    'https://bücher.example/',
    'https://notlocalhost/',
    'https://localhost.example.com/',
  ])('may be %s', (url) => {
    expect(strict.refusal(new URL(url))).toBeNull();
  });

  it.each([
    ['http://hooks.example.com/', /http:\/\/ is not allowed/],
    ['ftp://hooks.example.com/', /begins with https:/],
    ['file:///etc/passwd', /begins with https:/],
    ['data:text/plain,hello', /begins with https:/],
    ['javascript:alert(1)', /begins with https:/],
    ['wss://hooks.example.com/', /begins with https:/],
    ['https://user:password@hooks.example.com/', /no user name or password/],
    ['https://user@hooks.example.com/', /no user name or password/],
    ['https://:password@hooks.example.com/', /no user name or password/],
    ['https://hooks.example.com:0/', /port 0/],
    ['https://./', /names a host/],
    ['https://../', /names a host/],
  ])('is not %s', (url, why) => {
    expect(strict.refusal(new URL(url))).toMatch(why);
  });

  it('may be http:// where that is allowed, and nothing else than that', () => {
    expect(withHttp.refusal(new URL('http://hooks.example.com/'))).toBeNull();
    expect(withHttp.refusal(new URL('https://hooks.example.com/'))).toBeNull();
    expect(withHttp.refusal(new URL('ftp://hooks.example.com/'))).toMatch(/begins with https:/);
    expect(withHttp.refusal(new URL('http://10.0.0.1/'))).toMatch(NOT_PUBLIC);
  });

  it('has at most 2,048 characters', () => {
    const of = (length: number): URL => new URL('https://hooks.example.com/'.padEnd(length, 'x'));
    expect(strict.refusal(of(2_048))).toBeNull();
    expect(strict.refusal(of(2_049))).toMatch(/at most 2048 characters/);
    // Counted as it is sent.
    expect(strict.refusal(new URL('https://hooks.example.com/'.padEnd(1_000, 'ä')))).toMatch(/at most 2048/);
    expect(strict.refusalOfHost(of(5_000))).toBeNull();
  });
});

describe('an address in a URL', () => {
  it.each([
    'https://127.0.0.1/',
    'https://127.1/',
    'https://127.0.0.1./',
    'https://0x7f.1/',
    'https://0x7f000001/',
    'https://2130706433/',
    'https://017700000001/',
    'https://0177.0.0.1/',
    'https://%31%32%37.0.0.1/',
    'https://１２７.0.0.1/',
    'https://127。0。0。1/',
    'https://0/',
    'https://169.254.169.254/latest/meta-data/',
    'https://[::1]/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[0:0:0:0:0:ffff:7f00:0001]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[fd00:ec2::254]/',
    'https://localhost/',
    'https://LOCALHOST/',
    'https://localhost./',
    'https://anything.localhost/',
    'https://any.thing.localhost./',
    'https://loc%61lhost/',
  ])('is refused where it is not public: %s', (url) => {
    expect(strict.refusal(new URL(url))).toMatch(NOT_PUBLIC);
  });

  it('is taken where it is allowed', () => {
    for (const url of [
      'http://127.0.0.1:8080/',
      'http://0x7f.1/',
      'https://10.1.2.3/',
      'http://[::ffff:a00:1]/',
      'http://localhost/',
    ]) {
      expect(local.refusal(new URL(url)), url).toBeNull();
    }
    for (const url of ['http://192.168.0.1/', 'http://[::1]/', 'http://169.254.169.254/']) {
      expect(local.refusal(new URL(url)), url).toMatch(NOT_PUBLIC);
    }
    expect(new Targets(new Addresses(['10.0.0.0/8']), true).refusal(new URL('http://localhost/'))).toMatch(NOT_PUBLIC);
    expect(new Targets(new Addresses(['::1/128']), true).refusal(new URL('http://localhost/'))).toBeNull();
  });
});
