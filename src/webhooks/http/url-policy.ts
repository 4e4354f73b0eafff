/** What a webhook's URL may be, as far as the URL itself tells. */
import { isIP } from 'node:net';
import { MAX_URL_CHARACTERS, type WebhookTargets } from '../../app/ports/webhook-store.ts';
import type { Addresses } from './address-policy.ts';

/** The host as the network knows it: an IPv6 address without its brackets, a name without the dot of the root. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');

export class Targets implements WebhookTargets {
  readonly #addresses: Addresses;
  readonly #allowHttp: boolean;

  constructor(addresses: Addresses, allowHttp: boolean) {
    this.#addresses = addresses;
    this.#allowHttp = allowHttp;
  }

  refusal(url: URL): string | null {
    return url.href.length > MAX_URL_CHARACTERS
      ? `A webhook’s URL has at most ${MAX_URL_CHARACTERS} characters.`
      : this.refusalOfHost(url);
  }

  /** Whatever its length: a format may add to what is registered. @returns as `refusal`. */
  refusalOfHost(url: URL): string | null {
    if (url.protocol === 'http:' && !this.#allowHttp) {
      return 'A webhook’s URL begins with https://: sending over http:// is not allowed here.';
    }
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'A webhook’s URL begins with https://.';
    if (url.username !== '' || url.password !== '') return 'A webhook’s URL has no user name or password in it.';
    if (url.port === '0') return 'Nobody can be reached at port 0.';
    const host = hostOf(url);
    if (/^\.*$/.test(host)) return 'A webhook’s URL names a host.';
    if (isIP(host) !== 0 ? this.#addresses.allows(host) : !isLocal(host) || this.#allowsLoopback()) return null;
    return `Nothing may be sent to ${host}: it is not a public address, and not one that is allowed here.`;
  }

  #allowsLoopback(): boolean {
    return this.#addresses.allows('127.0.0.1') || this.#addresses.allows('::1');
  }
}

/** By RFC 6761 a name of one's own machine, whatever it resolves to. */
const isLocal = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost');
