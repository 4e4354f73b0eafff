/** Executes operations on the schema, with the real use cases over the in-memory reference store. */
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
import type { EndedSessionsReport, OperatorLog } from '../../../src/app/ports/operator-log.ts';
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
import { DEFAULT_POLICY, type Policy } from '../../../src/core/policy.ts';
import type { WatchScope } from '../../../src/core/records.ts';
import type { WebhookRecord } from '../../../src/core/webhooks/webhook.ts';
import type { Visibility } from '../../../src/core/visibility.ts';
import { webhookParts } from '../app/webhooks/webhook-parts.ts';
import { MemoryStore } from '../../contract/memory-store.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import type { Platform } from '../../../src/core/enums.ts';

export interface RequestOptions {
  readonly caller?: Caller;
  readonly variables?: Record<string, unknown>;
  readonly socket?: ApiSocket | null;
}

export interface FormattedResult {
  readonly data: unknown;
  readonly errors: readonly GraphQLFormattedError[];
  /** The `extensions.code` of each error. */
  readonly codes: readonly unknown[];
}

export const RETENTION_MS = 30 * 86_400_000;
export const CLIENT_ADDRESS = '192.0.2.7';

/** A caller that is authenticated by a JWT. */
export const jwtCaller = (name: string, watch: WatchScope = null): AppCaller => ({
  kind: 'app',
  userId: parseUserId(name),
  watchScope: watch,
  jwt: { issuedAt: null, clockToleranceMs: 0, expiresAt: toMillis(4_000_000_000_000) },
  sessionId: null,
});

/** A caller that is authenticated by a session token. */
export const sessionCaller = (ref: SessionRef, watch: WatchScope = null): AppCaller => ({
  ...jwtCaller(ref.userId, watch),
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

export class FakeSocket implements ApiSocket {
  readonly id = asSocketId('socket-1');
  readonly attachedSessions: SessionId[] = [];
  reservedWatches = 0;
  slowCloses = 0;

  attachSession(id: SessionId): void {
    this.attachedSessions.push(id);
  }

  reserveWatches(users: number): void {
    this.reservedWatches += users;
  }

  releaseWatches(users: number): void {
    this.reservedWatches -= users;
  }

  closeSlowConsumer(): void {
    this.slowCloses++;
  }
}

/** Records each call as `[method, argument]`. */
class RecordingOperatorLog implements OperatorLog {
  readonly entries: (readonly [string, Policy | EndedSessionsReport | WebhookRecord])[] = [];

  policyUpdated(policy: Policy): void {
    this.entries.push(['policyUpdated', policy]);
  }

  sessionsEnded(report: EndedSessionsReport): void {
    this.entries.push(['sessionsEnded', report]);
  }

  webhookCreated(webhook: WebhookRecord): void {
    this.entries.push(['webhookCreated', webhook]);
  }

  webhookUpdated(webhook: WebhookRecord): void {
    this.entries.push(['webhookUpdated', webhook]);
  }

  webhookDeleted(webhook: WebhookRecord): void {
    this.entries.push(['webhookDeleted', webhook]);
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
  readonly operatorLog = new RecordingOperatorLog();
  readonly application: Application;
  /** Errors that were reported as internal errors. */
  readonly internalErrors: unknown[] = [];

  constructor(visibility: Visibility = 'everyone') {
    this.application = createApplication(
      this.store,
      new CountingCredentials(),
      visibility,
      this.webhooks,
      this.operatorLog,
    );
  }

  /** Logs in without the API. */
  async login(name: string, platform: Platform = 'ANDROID', device = 'd1'): Promise<LoginResult & SessionRef> {
    const id = parseUserId(name);
    const result = await this.application.tracker.login(
      id,
      null,
      { platform, deviceId: parseDeviceId(device), appVersion: null, osVersion: null },
      { ipAddress: CLIENT_ADDRESS, socketId: null },
    );
    return { ...result, userId: id, sessionId: result.session.id };
  }

  async execute(document: string, options: RequestOptions = {}): Promise<FormattedResult> {
    return this.#formatResult(
      await execute({ ...this.#buildArgs(document, options), rootValue: { requestedUsers: 0 } }),
    );
  }

  /** Executes an operation as a backend. @throws when the result has errors. */
  async executeAsBackend<Data>(document: string, variables: Record<string, unknown> = {}): Promise<Data> {
    const { data, errors } = await this.execute(document, { caller: BACKEND_CALLER, variables });
    if (errors.length > 0) throw new Error(JSON.stringify(errors));
    return data as Data;
  }

  /** Yields the messages of a subscription. If the subscription is refused, the error is the only message. */
  async *subscribe(document: string, options: RequestOptions = {}): AsyncGenerator<FormattedResult, void> {
    const result = await subscribe(this.#buildArgs(document, options));
    if (!(Symbol.asyncIterator in result)) {
      yield this.#formatResult(result);
      return;
    }
    for await (const message of result) yield this.#formatResult(message);
  }

  /** Returns the first message of a subscription, and ends the subscription. */
  async firstMessage(document: string, options: RequestOptions = {}): Promise<FormattedResult> {
    for await (const message of this.subscribe(document, options)) return message;
    throw new Error('The subscription ended without a message.');
  }

  #buildArgs(document: string, { caller = BACKEND_CALLER, variables = {}, socket: link = null }: RequestOptions) {
    const parsed = parse(document);
    const invalid = validate(schema, parsed);
    if (invalid[0]) throw invalid[0];
    const contextValue: ApiContext = { application: this.application, caller, ipAddress: CLIENT_ADDRESS, socket: link };
    return { schema, document: parsed, variableValues: variables, contextValue };
  }

  #formatResult({ data, errors = [] }: ExecutionResult): FormattedResult {
    const clientErrors: readonly GraphQLError[] = errors.map((error) =>
      toClientError(error, (internalError) => this.internalErrors.push(internalError)),
    );
    // As a client receives it: converted to JSON and back.
    const received = JSON.parse(JSON.stringify({ data: data ?? null, errors: clientErrors })) as Pick<
      FormattedResult,
      'data' | 'errors'
    >;
    return { ...received, codes: received.errors.map(({ extensions }) => extensions?.['code']) };
  }
}
