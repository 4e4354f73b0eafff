/** What a name stands for, checked before anything connects there. */
import { lookup as systemLookup } from 'node:dns/promises';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import type { Addresses } from './address-policy.ts';
import { Failure } from './request-error.ts';

/** Every address of a name. */
export type Resolve = (name: string) => Promise<readonly LookupAddress[]>;

const resolveBySystem: Resolve = (name) => systemLookup(name, { all: true });

/**
 * For a socket that is about to connect: it is given the addresses that were checked, and resolves nothing again.
 * One address that is not allowed is enough to refuse the name. Sockets that ask for a name while it is being resolved
 * share the answer: the system looks up few names at a time, and one that hangs would keep all of those.
 */
export const checkedLookup = (addresses: Addresses, resolve: Resolve = resolveBySystem): LookupFunction => {
  const underWay = new Map<string, Promise<readonly LookupAddress[]>>();

  const checked = async (name: string): Promise<readonly LookupAddress[]> => {
    const found = await resolve(name);
    if (found.length === 0) throw new Failure('The receiver’s name has no address.');
    if (!found.every(({ address }) => addresses.allows(address))) {
      throw new Failure(`Nothing may be sent to ${name}: it has an address that is not public, and not allowed here.`);
    }
    return found;
  };
  const shared = (name: string): Promise<readonly LookupAddress[]> => {
    const known = underWay.get(name);
    if (known !== undefined) return known;
    const asked = checked(name).finally(() => underWay.delete(name));
    underWay.set(name, asked);
    return asked;
  };

  return (name, { all }, callback) => {
    shared(name).then(
      (found) => {
        const [first] = found;
        if (all === true || first === undefined) callback(null, [...found]);
        else callback(null, first.address, first.family);
      },
      (error: unknown) => callback(error as NodeJS.ErrnoException, []),
    );
  };
};
