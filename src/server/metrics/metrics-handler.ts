/** Serves GET /metrics to callers with an API key or the metrics token, which permits nothing else. */
import type { IncomingMessage } from 'node:http';
import { matchesAnyDigest, parseBearerToken } from '../auth/authenticate.ts';
import type { RequestHandler } from '../http/router.ts';
import type { Metrics } from './metrics.ts';

export interface MetricsCredentials {
  /** SHA-256 of each key. */
  readonly apiKeys: readonly Buffer[];
  /** SHA-256 of the metrics token; null: only API keys are accepted. */
  readonly metricsToken: Buffer | null;
}

const UNAUTHORIZED_TEXT =
  'Metrics require an API key or the metrics token (PORCHLIGHT_METRICS_TOKEN), as `Authorization: Bearer …`.\n';

export const createMetricsHandler =
  (metrics: Metrics, { apiKeys, metricsToken }: MetricsCredentials): RequestHandler =>
  async (request, response) => {
    response.setHeader('Cache-Control', 'no-store');
    if (!isAuthorized(request, metricsToken === null ? apiKeys : [...apiKeys, metricsToken])) {
      response.writeHead(401, { 'Content-Type': 'text/plain; charset=utf-8', 'WWW-Authenticate': 'Bearer' });
      response.end(UNAUTHORIZED_TEXT);
      return;
    }
    const body = await metrics.render();
    response.writeHead(200, { 'Content-Type': metrics.contentType, 'Content-Length': Buffer.byteLength(body) });
    // Node omits the body for HEAD.
    response.end(body);
  };

const isAuthorized = ({ headers }: IncomingMessage, digests: readonly Buffer[]): boolean => {
  const token = parseBearerToken(headers.authorization);
  return token !== null && matchesAnyDigest(token, digests);
};
