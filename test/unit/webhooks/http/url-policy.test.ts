import { describe, expect, it } from 'vitest';
import { AddressPolicy } from '../../../../src/webhooks/http/address-policy.ts';
import { UrlPolicy } from '../../../../src/webhooks/http/url-policy.ts';

const strict = new UrlPolicy(new AddressPolicy([]), false);
const withHttp = new UrlPolicy(new AddressPolicy([]), true);
const local = new UrlPolicy(new AddressPolicy(['127.0.0.0/8', '10.0.0.0/8']), true);

const NOT_PUBLIC = /^Requests to .+ are not allowed: the address is neither public/;

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
    expect(strict.getRejectionReason(new URL(url))).toBeNull();
  });

  it.each([
    ['http://hooks.example.com/', /does not allow http:\/\//],
    ['ftp://hooks.example.com/', /must start with https:/],
    ['file:///etc/passwd', /must start with https:/],
    ['data:text/plain,hello', /must start with https:/],
    ['javascript:alert(1)', /must start with https:/],
    ['wss://hooks.example.com/', /must start with https:/],
    ['https://user:password@hooks.example.com/', /must not contain a user name or password/],
    ['https://user@hooks.example.com/', /must not contain a user name or password/],
    ['https://:password@hooks.example.com/', /must not contain a user name or password/],
    ['https://hooks.example.com:0/', /port 0/],
    ['https://./', /must contain a host/],
    ['https://../', /must contain a host/],
  ])('must not be %s', (url, why) => {
    expect(strict.getRejectionReason(new URL(url))).toMatch(why);
  });

  it('may be http:// if that is allowed, and no other scheme', () => {
    expect(withHttp.getRejectionReason(new URL('http://hooks.example.com/'))).toBeNull();
    expect(withHttp.getRejectionReason(new URL('https://hooks.example.com/'))).toBeNull();
    expect(withHttp.getRejectionReason(new URL('ftp://hooks.example.com/'))).toMatch(/must start with https:/);
    expect(withHttp.getRejectionReason(new URL('http://10.0.0.1/'))).toMatch(NOT_PUBLIC);
  });

  it('has at most 2,048 characters', () => {
    const of = (length: number): URL => new URL('https://hooks.example.com/'.padEnd(length, 'x'));
    expect(strict.getRejectionReason(of(2_048))).toBeNull();
    expect(strict.getRejectionReason(of(2_049))).toMatch(/at most 2048 characters/);
    // Counted in the encoded form that is sent.
    expect(strict.getRejectionReason(new URL('https://hooks.example.com/'.padEnd(1_000, 'ä')))).toMatch(/at most 2048/);
    expect(strict.explainHostRejection(of(5_000))).toBeNull();
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
  ])('is rejected if it is not public: %s', (url) => {
    expect(strict.getRejectionReason(new URL(url))).toMatch(NOT_PUBLIC);
  });

  it('is accepted if its network is allowed', () => {
    for (const url of [
      'http://127.0.0.1:8080/',
      'http://0x7f.1/',
      'https://10.1.2.3/',
      'http://[::ffff:a00:1]/',
      'http://localhost/',
    ]) {
      expect(local.getRejectionReason(new URL(url)), url).toBeNull();
    }
    for (const url of ['http://192.168.0.1/', 'http://[::1]/', 'http://169.254.169.254/']) {
      expect(local.getRejectionReason(new URL(url)), url).toMatch(NOT_PUBLIC);
    }
    expect(
      new UrlPolicy(new AddressPolicy(['10.0.0.0/8']), true).getRejectionReason(new URL('http://localhost/')),
    ).toMatch(NOT_PUBLIC);
    expect(
      new UrlPolicy(new AddressPolicy(['::1/128']), true).getRejectionReason(new URL('http://localhost/')),
    ).toBeNull();
  });
});
