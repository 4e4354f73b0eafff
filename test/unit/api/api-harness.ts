/** The schema over real use cases and the reference store, asked the way the server asks it. */
import {
  execute,
  parse,
  subscribe,
  validate,
  type ExecutionResult,
  type GraphQLError,
  type GraphQLFormattedError,
} from 'graphql';
import { BACKEND_CALLER, type AppCaller, type Caller, type SessionRef } from '../../../src/app/auth/caller.ts';
import { createApplication, type Application } from '../../../src/app/application.ts';
import type { CredentialFactory } from '../../../src/app/ports/presence-store.ts';
import type { LoginResult } from '../../../src/app/presence/tracker.ts';
import type { ApiContext, ApiSocket } from '../../../src/api/context.ts';
import { toClientError } from '../../../src/api/errors.ts';
import { schema } from '../../../src/api/schema.ts';
import {
  parseDeviceId,
  asSocketId,
  toMillis,
  parseSessionId,
  parseUserId,
  type SessionId,
} from '../../../src/core/ids.ts';
import { DEFAULT_POLICY } from '../../../src/core/policy.ts';
import type { WatchScope } from '../../../src/core/records.ts';
import type { Visibility } from '../../../src/core/visibility.ts';
import { webhookParts } from '../app/webhooks/webhook-parts.ts';
import { MemoryStore } from '../../contract/memory-store.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import type { Platform } from '../../../src/core/enums.ts';

export interface Asking {
  readonly caller?: Caller;
  readonly variables?: Record<string, unknown>;
  readonly link?: ApiSocket | null;
}

export interface Answer {
  readonly data: unknown;
  readonly errors: readonly GraphQLFormattedError[];
  /** `extensions.code` of each error. */
  readonly codes: readonly unknown[];
}

export const RETENTION_MS = 30 * 86_400_000;
export const IP = '192.0.2.7';

/** Who proved by a JWT to be this user. */
export const user = (name: string, watch: WatchScope = null): AppCaller => ({
  kind: 'app',
  userId: parseUserId(name),
  watchScope: watch,
  jwt: { issuedAt: null, expiresAt: toMillis(4_000_000_000_000) },
  sessionId: null,
});

/** Who shows the token of a session. */
export const session = (ref: SessionRef, watch: WatchScope = null): AppCaller => ({
  ...user(ref.userId, watch),
  jwt: null,
  sessionId: ref.sessionId,
});

class CountingCredentials implements CredentialFactory {
  #count = 0;

  createSessionCredentials() {
    const name = `session-${++this.#count}`;
    return { sessionId: parseSessionId(name), token: `token of ${name}`, tokenHash: `hash of ${name}` };
  }

  createDeviceId() {
    return parseDeviceId(`device-${++this.#count}`);
  }
}

export class TestLink implements ApiSocket {
  readonly id = asSocketId('link-1');
  readonly sessions: SessionId[] = [];
  watched = 0;
  slow = 0;

  attachSession(id: SessionId): void {
    this.sessions.push(id);
  }

  reserveWatches(users: number): void {
    this.watched += users;
  }

  releaseWatches(users: number): void {
    this.watched -= users;
  }

  closeSlowConsumer(): void {
    this.slow++;
  }
}

export class ApiHarness {
  readonly clock = new VirtualClock();
  readonly store = new MemoryStore({
    clock: this.clock.now,
    policySeed: DEFAULT_POLICY,
    eventRetentionMs: RETENTION_MS,
  });
  readonly webhooks = webhookParts(this.clock.now);
  readonly porchlight: Application;
  /** What was reported as our own fault. */
  readonly faults: unknown[] = [];

  constructor(visibility: Visibility = 'everyone') {
    this.porchlight = createApplication(this.store, new CountingCredentials(), visibility, this.webhooks);
  }

  /** A session that began without going through the API. */
  async login(name: string, platform: Platform = 'ANDROID', device = 'd1'): Promise<LoginResult & SessionRef> {
    const id = parseUserId(name);
    const loggedIn = await this.porchlight.tracker.login(
      id,
      null,
      { platform, deviceId: parseDeviceId(device), appVersion: null, osVersion: null },
      { ipAddress: IP, socketId: null },
    );
    return { ...loggedIn, userId: id, sessionId: loggedIn.session.id };
  }

  async ask(document: string, asking: Asking = {}): Promise<Answer> {
    return this.#answer(await execute({ ...this.#request(document, asking), rootValue: { users: 0 } }));
  }

  /** Asked by a backend, and answered without an error. */
  async backend<Data>(document: string, variables: Record<string, unknown> = {}): Promise<Data> {
    const { data, errors } = await this.ask(document, { caller: BACKEND_CALLER, variables });
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    return data as Data;
  }

  /** The messages of a subscription; where it is refused, the refusal is the only one. */
  async *follow(document: string, asking: Asking = {}): AsyncGenerator<Answer, void> {
    const result = await subscribe(this.#request(document, asking));
    if (!(Symbol.asyncIterator in result)) {
      yield this.#answer(result);
      return;
    }
    for await (const message of result) yield this.#answer(message);
  }

  /** The first message, after which the subscription is given up. */
  async first(document: string, asking: Asking = {}): Promise<Answer> {
    for await (const answer of this.follow(document, asking)) return answer;
    throw new Error('The subscription ended without a message.');
  }

  #request(document: string, { caller = BACKEND_CALLER, variables = {}, link = null }: Asking) {
    const parsed = parse(document);
    const invalid = validate(schema, parsed);
    if (invalid[0]) throw invalid[0];
    const contextValue: ApiContext = { application: this.porchlight, caller, ipAddress: IP, socket: link };
    return { schema, document: parsed, variableValues: variables, contextValue };
  }

  #answer({ data, errors = [] }: ExecutionResult): Answer {
    const told: readonly GraphQLError[] = errors.map((error) =>
      toClientError(error, (fault) => this.faults.push(fault)),
    );
    // As it goes over the wire: without prototypes, and without what JSON does not know.
    const wire = JSON.parse(JSON.stringify({ data: data ?? null, errors: told })) as Pick<Answer, 'data' | 'errors'>;
    return { ...wire, codes: wire.errors.map(({ extensions }) => extensions?.['code']) };
  }
}
