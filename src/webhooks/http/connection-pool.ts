/** Connections to receivers, in one pool per webhook, so that a slow receiver delays no other webhook. */
import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { WebhookId } from '../../core/ids.ts';

/** More than a webhook's concurrent requests. A request that waited for a socket would lose part of its timeout. */
const MAX_SOCKETS = 32;
/** After this time without a connection, the next address of the same host is tried as well. */
const ADDRESS_ATTEMPT_TIMEOUT_MS = 1_000;

export interface ConnectionPoolSettings {
  readonly lookup: LookupFunction;
  /** How long an unused connection stays open. Many servers close theirs after 5 s. */
  readonly idleMs: number;
  /** Trusted certificate authorities in PEM; undefined: those of Node. */
  readonly trustedCaPem: string | undefined;
}

/** The pools of all webhooks. Proxies are never used. */
export class WebhookConnectionPools {
  readonly #settings: ConnectionPoolSettings;
  readonly #pools = new Map<WebhookId, ConnectionPool>();

  constructor(settings: ConnectionPoolSettings) {
    this.#settings = settings;
  }

  /** For one attempt, which must call `release` at its end. A pool without attempts is closed after `idleMs`. */
  acquirePool(webhookId: WebhookId): { readonly pool: ConnectionPool; readonly release: () => void } {
    const pool = this.#pools.get(webhookId) ?? new ConnectionPool(this.#settings);
    this.#pools.set(webhookId, pool);
    pool.activeAttempts++;
    clearTimeout(pool.idleTimer);
    const release = (): void => {
      if (--pool.activeAttempts > 0) return;
      pool.idleTimer = setTimeout(() => {
        pool.closeConnections();
        if (this.#pools.get(webhookId) === pool) this.#pools.delete(webhookId);
      }, this.#settings.idleMs);
      pool.idleTimer.unref();
    };
    return { pool, release };
  }

  closeAllPools(): void {
    for (const pool of this.#pools.values()) {
      clearTimeout(pool.idleTimer);
      pool.closeConnections();
    }
    this.#pools.clear();
  }
}

/** The connections of one webhook. */
export class ConnectionPool {
  activeAttempts = 0;
  idleTimer: NodeJS.Timeout | undefined;
  readonly #settings: ConnectionPoolSettings;
  readonly #keepAliveAgents = new Map<string, HttpAgent>();

  constructor(settings: ConnectionPoolSettings) {
    this.#settings = settings;
  }

  /** Reuses connections. @param protocol `http:` or `https:`. */
  getKeepAliveAgent(protocol: string): HttpAgent {
    const existing = this.#keepAliveAgents.get(protocol);
    if (existing !== undefined) return existing;
    const agent = createAgent(protocol, this.#settings, { keepAlive: true });
    this.#keepAliveAgents.set(protocol, agent);
    return agent;
  }

  /** Opens a new connection for one request. @param protocol `http:` or `https:`. */
  createSingleUseAgent(protocol: string): HttpAgent {
    return createAgent(protocol, this.#settings, { keepAlive: false });
  }

  closeConnections(): void {
    for (const agent of this.#keepAliveAgents.values()) agent.destroy();
    this.#keepAliveAgents.clear();
  }
}

const createAgent = (
  protocol: string,
  { lookup, idleMs, trustedCaPem }: ConnectionPoolSettings,
  options: AgentOptions,
): HttpAgent => {
  const common = {
    ...options,
    lookup,
    // For idle sockets in the pool. A request has its own timeout.
    timeout: idleMs,
    maxSockets: MAX_SOCKETS,
    autoSelectFamilyAttemptTimeout: ADDRESS_ATTEMPT_TIMEOUT_MS,
  };
  if (protocol === 'http:') return new HttpAgent(common);
  return new HttpsAgent({
    ...common,
    // Overrides NODE_TLS_REJECT_UNAUTHORIZED.
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(trustedCaPem === undefined ? {} : { ca: trustedCaPem }),
  });
};
