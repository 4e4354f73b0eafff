/**
 * Who speaks on a socket, and which session it serves: from the credential or the login that attaches it to one, until
 * the store knows that it does no more.
 */
import { NOBODY, type AppCaller, type Caller } from '../../app/auth/caller.ts';
import { DomainError, unauthenticated } from '../../core/errors.ts';
import type { SessionId } from '../../core/ids.ts';
import type { LostLink } from '../../core/records.ts';
import type { OperationHandle } from './operation-handle.ts';
import type { Authenticator } from '../auth/authenticate.ts';
import {
  isLogin,
  isQueryOrMutation,
  isSessionEndedSubscription,
  type Operation,
  type OperationPredicate,
} from '../graphql/operation.ts';
import { callerKindOf, type ServerCounters } from '../metrics/counters.ts';
import * as farewell from './close-reasons.ts';
import type { CloseReason } from './close-reasons.ts';
import type { AdmissionQueue } from './admission-queue.ts';
import { watchJwtValidity } from '../auth/jwt-expiry.ts';
import { ActivityReporter, type ActivitySource } from './activity-reporter.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import type { ActiveOperations } from './active-operations.ts';

export interface SessionBindingOptions {
  readonly authenticate: Authenticator;
  readonly figures: ServerCounters;
  readonly settings: ConnectionSettings;
  /** One for all. */
  readonly admissionQueue: AdmissionQueue;
}

/** The socket. */
interface BoundSocket extends ActivitySource {
  readonly underWay: ActiveOperations<OperationHandle>;
  /** It is closed, or about to be. */
  readonly isOver: boolean;
  /** Hears nothing more, lets go out what is waited for, then closes. */
  leave(why: CloseReason, waitsFor: (operation: Operation) => boolean): void;
}

export class SessionBinding {
  readonly #socket: BoundSocket;
  readonly #options: SessionBindingOptions;
  readonly #life: ActivityReporter;
  #caller: Caller = NOBODY;
  /** The session is attached through the socket. */
  #attached = false;
  /** The store may have the socket in a session, or be about to. */
  #mayServe = false;
  /** Sessions lost before the reply of the login that began them has come back here. */
  #lostEarly: Map<SessionId, LostLink> | null = null;
  #stopJwtWatch: (() => void) | null = null;

  constructor(socket: BoundSocket, options: SessionBindingOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#life = new ActivityReporter(socket);
    options.figures.openSockets.nobody++;
  }

  /** As of now. */
  get caller(): Caller {
    return this.#caller;
  }

  get isAttached(): boolean {
    return this.#attached;
  }

  /** The client lives. */
  recordActivity(): void {
    this.#life.sign();
  }

  /**
   * It says who it is, and waits for its turn to be known. Null: meanwhile the socket is over.
   * @throws as `Authenticate`; OVERLOADED when too many wait.
   */
  async authenticate(authorization: unknown): Promise<Caller | null> {
    if (authorization === undefined) throw unauthenticated('authorization is missing');
    if (typeof authorization !== 'string') throw unauthenticated('authorization must be text');
    const mayEnter = await this.#options.admissionQueue.admit(() => this.#socket.isOver);
    if (this.#socket.isOver) return null;
    if (!mayEnter) throw TOO_MANY;
    return this.#options.authenticate(authorization);
  }

  /** From now on it speaks. Resolves when the session that its credential names is attached. @throws as `attach`. */
  async bindCaller(caller: Caller): Promise<void> {
    this.#is(caller);
    if (caller.kind !== 'app') return;
    const { userId, sessionId, jwt } = caller;
    const { application: porchlight } = this.#socket;
    if (jwt !== null) {
      const stop = await watchJwtValidity(porchlight, userId, jwt, (why) =>
        this.#socket.leave(farewell.closeReasonForInvalidJwt(why), isQueryOrMutation),
      );
      if (this.#socket.isOver) stop();
      else this.#stopJwtWatch = stop;
    }
    if (sessionId !== null) await this.#attachSession(caller, sessionId);
  }

  async #attachSession({ userId }: AppCaller, sessionId: SessionId): Promise<void> {
    const { application: porchlight, id, ipAddress } = this.#socket;
    this.#mayServe = true;
    this.#attached = true;
    await this.#options.admissionQueue.trackAttachment(() =>
      porchlight.tracker.attach({ userId, sessionId }, id, ipAddress),
    );
    // Lost again before it could be told that it has it, perhaps.
    if (this.#attached) this.#life.of({ userId, sessionId });
  }

  /** A login begins. */
  markLoginStarted(): void {
    // Not from its reply on: the socket may be gone before that.
    this.#mayServe = true;
  }

  /** The login has attached the socket to that session. @returns as whom it speaks from now on. */
  completeLogin(sessionId: SessionId): AppCaller {
    if (this.#caller.kind !== 'app') throw new Error('Only an app logs in.');
    const caller = { ...this.#caller, sessionId };
    this.#is(caller);
    const lost = this.#lostEarly?.get(sessionId);
    this.#lostEarly = null;
    if (lost === undefined) {
      this.#attached = true;
      this.#life.of({ userId: caller.userId, sessionId });
    } else this.#closeAfterSessionLoss(lost);
    return caller;
  }

  /** See `Link`. */
  onSessionLost(lost: LostLink): void {
    if (this.#caller.kind === 'app' && this.#caller.sessionId === lost.sessionId) this.#closeAfterSessionLoss(lost);
    else (this.#lostEarly ??= new Map()).set(lost.sessionId, lost);
  }

  /** Nothing is closed that is moving on to another session at this moment. */
  #closeAfterSessionLoss(lost: LostLink): void {
    this.#attached = false;
    this.#life.of(null);
    const { underWay } = this.#socket;
    const leave = (): void => {
      if (this.#attached) return;
      this.#socket.leave(farewell.closeReasonForLostSession(lost), lost.ended ? isFinalAfterEnd : isQueryOrMutation);
    };
    if (!underWay.hasMatching(isLogin)) leave();
    else void underWay.waitForMatchingUpTo(isLogin, this.#options.settings.drainTimeoutMs).then(leave);
  }

  /** The client sends nothing more: the session is told. @param byServer the server has closed it, which is no DISCONNECT. */
  async detach(byServer: boolean): Promise<void> {
    this.#life.of(null);
    const caller = this.#caller;
    if (!this.#mayServe || caller.kind !== 'app') return;
    const { application: porchlight, id } = this.#socket;
    await porchlight.tracker.detach(caller.userId, id, byServer);
  }

  /** The socket is closed. Resolves when the session has been told. @param byServer as `leaves`. */
  async dispose(byServer: boolean): Promise<void> {
    const { underWay } = this.#socket;
    this.#options.figures.openSockets[callerKindOf(this.#caller)]--;
    this.#stopJwtWatch?.();
    const loggingIn = underWay.hasMatching(isLogin);
    for (const asked of underWay.toArray()) asked.cancel();
    await this.detach(byServer);
    if (!loggingIn) return;
    // A login that reached the store after the detach has attached a socket that is gone.
    await underWay.waitForMatching(isLogin);
    await this.detach(byServer);
  }

  #is(caller: Caller): void {
    const { openSockets: sockets } = this.#options.figures;
    sockets[callerKindOf(this.#caller)]--;
    sockets[callerKindOf(caller)]++;
    this.#caller = caller;
  }
}

/** It is closed with 1013, which says when to come back by itself. */
const TOO_MANY = new DomainError({ code: 'OVERLOADED', retryAfterMs: 5_000 }, 'Too many are coming at once');

/** The subscription to the session's end completes by itself once it has reported the end. */
const isFinalAfterEnd: OperationPredicate = (operation) =>
  isQueryOrMutation(operation) || isSessionEndedSubscription(operation);
