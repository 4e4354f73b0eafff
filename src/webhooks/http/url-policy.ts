/** Decides which URLs a webhook may have, as far as the URL itself shows. */
import { isIP } from 'node:net';
import { MAX_URL_CHARACTERS, type WebhookUrlPolicy } from '../../app/ports/webhook-store.ts';
import type { AddressPolicy } from './address-policy.ts';

/** The host of a URL without the brackets of an IPv6 address and without the trailing dot of a name. */
export const extractHost = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');

export class UrlPolicy implements WebhookUrlPolicy {
  readonly #addressPolicy: AddressPolicy;
  readonly #allowHttp: boolean;

  constructor(addressPolicy: AddressPolicy, allowHttp: boolean) {
    this.#addressPolicy = addressPolicy;
    this.#allowHttp = allowHttp;
  }

  getRejectionReason(url: URL): string | null {
    return url.href.length > MAX_URL_CHARACTERS
      ? `A webhook URL has at most ${MAX_URL_CHARACTERS} characters.`
      : this.explainHostRejection(url);
  }

  /** As `getRejectionReason`, for a URL of any length: a format may append parameters to the URL of a webhook. */
  explainHostRejection(url: URL): string | null {
    if (url.protocol === 'http:' && !this.#allowHttp) {
      return 'A webhook URL must start with https://. This server does not allow http://.';
    }
    if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'A webhook URL must start with https://.';
    if (url.username !== '' || url.password !== '') return 'A webhook URL must not contain a user name or password.';
    if (url.port === '0') return 'A webhook URL must not have port 0.';
    const host = extractHost(url);
    if (/^\.*$/.test(host)) return 'A webhook URL must contain a host.';
    if (this.#allowsHost(host)) return null;
    return `Requests to ${host} are not allowed: the address is neither public nor allowed by this server.`;
  }

  #allowsHost(host: string): boolean {
    if (isIP(host) !== 0) return this.#addressPolicy.allowsAddress(host);
    return !isLoopbackName(host) || this.#allowsLoopback();
  }

  #allowsLoopback(): boolean {
    return this.#addressPolicy.allowsAddress('127.0.0.1') || this.#addressPolicy.allowsAddress('::1');
  }
}

/** By RFC 6761 these names mean the local machine, whatever DNS answers. */
const isLoopbackName = (host: string): boolean => host === 'localhost' || host.endsWith('.localhost');
