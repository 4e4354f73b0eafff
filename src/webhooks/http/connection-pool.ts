/** The connections of webhooks to their receivers, of each apart: one that hangs holds up no other. */
import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { WebhookId } from '../../core/ids.ts';

/** More than one webhook ever has under way: a request that waited for a socket would wait within its own time. */
const MAX_SOCKETS = 32;
/** An address that says nothing gets so long before the next one of the same name is tried as well. */
const NEXT_ADDRESS_AFTER_MS = 1_000;

export interface ConnectionSettings {
  readonly lookup: LookupFunction;
  /** For how long a connection that nobody uses stays open. Many servers close theirs after 5 s. */
  readonly idleMs: number;
  /** In PEM: whose certificates are trusted; undefined: those that Node trusts. */
  readonly authorities: string | undefined;
}

/** Makes and keeps connections; never uses a proxy. */
export class Connections {
  readonly #settings: ConnectionSettings;
  readonly #pools = new Map<WebhookId, Pool>();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /** For one attempt, which calls `done` when it is over. What nobody uses for `idleMs` is closed, and forgotten. */
  use(webhookId: WebhookId): { readonly pool: Pool; readonly done: () => void } {
    const pool = this.#pools.get(webhookId) ?? new Pool(this.#settings);
    this.#pools.set(webhookId, pool);
    pool.users++;
    clearTimeout(pool.idle);
    const done = (): void => {
      if (--pool.users > 0) return;
      pool.idle = setTimeout(() => {
        pool.close();
        if (this.#pools.get(webhookId) === pool) this.#pools.delete(webhookId);
      }, this.#settings.idleMs);
      pool.idle.unref();
    };
    return { pool, done };
  }

  close(): void {
    for (const pool of this.#pools.values()) {
      clearTimeout(pool.idle);
      pool.close();
    }
    this.#pools.clear();
  }
}

export class Pool {
  users = 0;
  idle: NodeJS.Timeout | undefined;
  readonly #settings: ConnectionSettings;
  readonly #agents = new Map<string, HttpAgent>();

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /** Keeps connections open. */
  agent(protocol: string): HttpAgent {
    const known = this.#agents.get(protocol);
    if (known !== undefined) return known;
    const agent = agentOf(protocol, this.#settings, { keepAlive: true });
    this.#agents.set(protocol, agent);
    return agent;
  }

  /** For one request over a connection of its own. */
  fresh(protocol: string): HttpAgent {
    return agentOf(protocol, this.#settings, { keepAlive: false });
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}

const agentOf = (
  protocol: string,
  { lookup, idleMs, authorities }: ConnectionSettings,
  options: AgentOptions,
): HttpAgent => {
  const all = {
    ...options,
    lookup,
    // Of an agent: for a socket in the pool. A request has its own.
    timeout: idleMs,
    maxSockets: MAX_SOCKETS,
    autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_AFTER_MS,
  };
  if (protocol === 'http:') return new HttpAgent(all);
  return new HttpsAgent({
    ...all,
    // Whatever the environment says.
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(authorities === undefined ? {} : { ca: authorities }),
  });
};
