/** GET /metrics: for an API key or the token that may read nothing else. */
import type { IncomingMessage } from 'node:http';
import { parseBearerToken, matchesAnyDigest } from '../auth/authenticate.ts';
import type { RequestHandler } from '../http/router.ts';
import type { Metrics } from './metrics.ts';

export interface MetricsCredentials {
  /** SHA-256 of each key. */
  readonly apiKeys: readonly Buffer[];
  /** SHA-256 of the token; null: API keys alone. */
  readonly metricsToken: Buffer | null;
}

const WHO =
  'Metrics are for an API key or the metrics token (PORCHLIGHT_METRICS_TOKEN), as `Authorization: Bearer …`.\n';

export const createMetricsHandler =
  (metrics: Metrics, { apiKeys, metricsToken }: MetricsCredentials): RequestHandler =>
  async (request, response) => {
    response.setHeader('Cache-Control', 'no-store');
    if (!mayRead(request, metricsToken === null ? apiKeys : [...apiKeys, metricsToken])) {
      response.writeHead(401, { 'Content-Type': 'text/plain; charset=utf-8', 'WWW-Authenticate': 'Bearer' });
      response.end(WHO);
      return;
    }
    const body = await metrics.render();
    response.writeHead(200, { 'Content-Type': metrics.contentType, 'Content-Length': Buffer.byteLength(body) });
    // Node leaves the body out for HEAD.
    response.end(body);
  };

const mayRead = ({ headers }: IncomingMessage, digests: readonly Buffer[]): boolean => {
  const token = parseBearerToken(headers.authorization);
  return token !== null && matchesAnyDigest(token, digests);
};
