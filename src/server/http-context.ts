/** Who asks over HTTP, and from where: the same for plain POSTs and for what yoga reads. */
import type { IncomingMessage } from 'node:http';
import type { ApiContext } from '../api/context.ts';
import type { Porchlight } from '../app/porchlight.ts';
import type { Authenticate } from './auth.ts';
import { clientAddress } from './client-address.ts';
import type { Pipeline } from './pipeline.ts';

export interface GraphqlHttpOptions {
  readonly porchlight: Porchlight;
  readonly pipeline: Pipeline;
  readonly authenticate: Authenticate;
  readonly trustProxy: boolean;
}

/** @throws as `Authenticate`. */
export const contextOf = async (
  { porchlight, authenticate, trustProxy }: GraphqlHttpOptions,
  request: IncomingMessage,
): Promise<ApiContext> => {
  const caller = await authenticate(request.headers.authorization);
  return { porchlight, caller, ipAddress: clientAddress(request, trustProxy), link: null };
};
