/** Resolves host names for sockets and checks the addresses before anything connects to them. */
import { lookup as systemLookup } from 'node:dns/promises';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { AddressPolicy } from './address-policy.ts';
import { RequestError } from './request-error.ts';

/** Returns every address of a name. */
export type ResolveName = (name: string) => Promise<readonly LookupAddress[]>;

const resolveBySystem: ResolveName = (name) => systemLookup(name, { all: true });

/**
 * A `lookup` function for sockets. The socket connects to the checked addresses and resolves nothing again, so DNS
 * rebinding cannot bypass the check. One forbidden address rejects the whole name. Concurrent lookups of one name share
 * the result: the system resolves few names at a time, and a slow name must not occupy all of its threads.
 */
export const createCheckedLookup = (
  addressPolicy: AddressPolicy,
  resolveName: ResolveName = resolveBySystem,
): LookupFunction => {
  const pendingLookups = new Map<string, Promise<readonly LookupAddress[]>>();

  const resolveAndCheck = async (name: string): Promise<readonly LookupAddress[]> => {
    const addresses = await resolveName(name);
    if (addresses.length === 0) throw new RequestError('The receiver’s host name has no address.');
    if (!addresses.every(({ address }) => addressPolicy.allowsAddress(address))) {
      throw new RequestError(
        `Requests to ${name} are not allowed: it has an address that is neither public nor allowed.`,
      );
    }
    return addresses;
  };
  const resolveShared = (name: string): Promise<readonly LookupAddress[]> => {
    const pending = pendingLookups.get(name);
    if (pending !== undefined) return pending;
    const started = resolveAndCheck(name).finally(() => pendingLookups.delete(name));
    pendingLookups.set(name, started);
    return started;
  };

  return (name, { all }, callback) => {
    resolveShared(name).then(
      (addresses) => {
        const [first] = addresses;
        if (all === true || first === undefined) callback(null, [...addresses]);
        else callback(null, first.address, first.family);
      },
      (error: unknown) => callback(error as NodeJS.ErrnoException, []),
    );
  };
};
