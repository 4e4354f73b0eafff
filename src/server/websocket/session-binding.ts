/**
 * The caller of a socket and the session that the socket is attached to. The session is attached by the
 * credential of the socket or by a login, and stays attached until it is lost or the socket closes.
 */
import type { Application } from '../../app/application.ts';
import { UNAUTHENTICATED_CALLER, type AppCaller, type Caller, type SessionRef } from '../../app/auth/caller.ts';
import type { RegisteredSocket } from '../../app/presence/socket-registry.ts';
import { DomainError } from '../../core/errors.ts';
import type { SessionId, SocketId } from '../../core/ids.ts';
import type { LostSocket } from '../../core/records.ts';
import type { OperationHandle } from './operation-handle.ts';
import type { Authenticator } from '../auth/authenticate.ts';
import {
  isLogin,
  isQueryOrMutation,
  isSessionEndedSubscription,
  type OperationPredicate,
} from '../graphql/operation.ts';
import { getCallerKind, type ServerCounters } from '../metrics/counters.ts';
import { closeReasonForInvalidJwt, closeReasonForLostSession, type CloseReason } from './close-reasons.ts';
import type { AdmissionQueue } from './admission-queue.ts';
import { watchJwtValidity } from '../auth/jwt-validity.ts';
import type { ConnectionSettings } from './connection-settings.ts';
import type { ActiveOperations } from './active-operations.ts';

export interface SessionBindingOptions {
  readonly authenticate: Authenticator;
  readonly counters: ServerCounters;
  readonly settings: ConnectionSettings;
  /** Shared by all sockets. */
  readonly admissionQueue: AdmissionQueue;
}

/** The socket of a binding. */
interface BoundSocket {
  readonly id: SocketId;
  readonly ipAddress: string | null;
  readonly application: Application;
  readonly activeOperations: ActiveOperations<OperationHandle>;
  /** True once the socket is closed or about to be closed. */
  readonly isClosing: boolean;
  /** Ignores further messages, waits for the matching operations, then closes. */
  drainAndClose(reason: CloseReason, waitFor: OperationPredicate): void;
  reportInternalError(error: unknown, logMessage: string): void;
}

export class SessionBinding implements RegisteredSocket {
  readonly #socket: BoundSocket;
  readonly #options: SessionBindingOptions;
  #caller: Caller = UNAUTHENTICATED_CALLER;
  #isAttached = false;
  /** The session whose activity is recorded, or null. */
  #activeSession: SessionRef | null = null;
  #isRecordingActivity = false;
  /** More activity occurred while it was being recorded. */
  #hasMoreActivity = false;
  /** The store may have attached the socket to a session, or may do so soon. */
  #mayBeAttached = false;
  /** Sessions that were lost before the response of the login that created them. */
  #sessionsLostDuringLogin: Map<SessionId, LostSocket> | null = null;
  #stopJwtWatch: (() => void) | null = null;

  constructor(socket: BoundSocket, options: SessionBindingOptions) {
    this.#socket = socket;
    this.#options = options;
    options.counters.openSockets.unauthenticated++;
  }

  get id(): SocketId {
    return this.#socket.id;
  }

  /** The current caller. A login changes it. */
  get caller(): Caller {
    return this.#caller;
  }

  /** True while a session is attached through this socket. */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** Records that the client is alive. While one record is being written, all further activity becomes one more. */
  recordActivity(): void {
    if (this.#isRecordingActivity) this.#hasMoreActivity = true;
    else void this.#recordAllActivity();
  }

  async #recordAllActivity(): Promise<void> {
    this.#isRecordingActivity = true;
    do {
      this.#hasMoreActivity = false;
      if (this.#activeSession === null) break;
      try {
        const { id, ipAddress, application } = this.#socket;
        await application.tracker.recordActivity(this.#activeSession, { socketId: id, ipAddress });
      } catch (error) {
        // If the session has ended, the commit that ended it closes the socket.
        if (!(error instanceof DomainError)) {
          this.#socket.reportInternalError(
            error,
            'Activity of a WebSocket was not recorded; the next activity will be',
          );
        }
      }
    } while (this.#hasMoreActivity);
    this.#isRecordingActivity = false;
  }

  /**
   * Waits for admission, then authenticates the credential of the socket.
   * @returns null if the socket was closed in the meantime.
   * @throws as `Authenticator`, and OVERLOADED if the admission queue is full.
   */
  async authenticate(authorization: string): Promise<Caller | null> {
    const isAdmitted = await this.#options.admissionQueue.waitForAdmission(() => this.#socket.isClosing);
    if (this.#socket.isClosing) return null;
    if (!isAdmitted) throw ADMISSION_QUEUE_FULL;
    return this.#options.authenticate(authorization);
  }

  /** Sets the caller. Resolves when the session of its credential, if any, is attached. @throws as `attachSocket`. */
  async bindCaller(caller: Caller): Promise<void> {
    this.#setCaller(caller);
    if (caller.kind !== 'app') return;
    const { userId, sessionId, jwt } = caller;
    if (jwt !== null) {
      const stopWatch = await watchJwtValidity(this.#socket.application, userId, jwt, (error) =>
        this.#socket.drainAndClose(closeReasonForInvalidJwt(error), isQueryOrMutation),
      );
      if (this.#socket.isClosing) stopWatch();
      else this.#stopJwtWatch = stopWatch;
    }
    if (sessionId !== null) await this.#attachSession({ userId, sessionId });
  }

  async #attachSession(session: SessionRef): Promise<void> {
    const { application, id, ipAddress } = this.#socket;
    this.#mayBeAttached = true;
    this.#isAttached = true;
    await this.#options.admissionQueue.trackAttachment(() => application.tracker.attachSocket(session, id, ipAddress));
    // The session may have been lost in the meantime.
    if (this.#isAttached) this.#activeSession = session;
  }

  /** Must be called before a login is executed, because the socket may close before the login's response. */
  markLoginStarted(): void {
    this.#mayBeAttached = true;
  }

  /** The login has attached the socket to that session. Returns the new caller. */
  completeLogin(sessionId: SessionId): AppCaller {
    if (this.#caller.kind !== 'app') throw new Error(`Only an app can log in, but the caller is ${this.#caller.kind}.`);
    const caller = { ...this.#caller, sessionId };
    this.#setCaller(caller);
    const lost = this.#sessionsLostDuringLogin?.get(sessionId);
    this.#sessionsLostDuringLogin = null;
    if (lost === undefined) {
      this.#isAttached = true;
      this.#activeSession = { userId: caller.userId, sessionId };
    } else this.#closeAfterSessionLoss(lost);
    return caller;
  }

  onSessionLost(lost: LostSocket): void {
    if (this.#caller.kind === 'app' && this.#caller.sessionId === lost.sessionId) this.#closeAfterSessionLoss(lost);
    else (this.#sessionsLostDuringLogin ??= new Map()).set(lost.sessionId, lost);
  }

  /** Keeps the socket open if a login in progress attaches it to another session. */
  #closeAfterSessionLoss(lost: LostSocket): void {
    this.#isAttached = false;
    this.#activeSession = null;
    const { activeOperations } = this.#socket;
    const closeUnlessAttached = (): void => {
      if (this.#isAttached) return;
      this.#socket.drainAndClose(
        closeReasonForLostSession(lost),
        lost.isSessionEnded ? isFiniteAfterSessionEnd : isQueryOrMutation,
      );
    };
    if (!activeOperations.hasMatching(isLogin)) closeUnlessAttached();
    else {
      void activeOperations
        .waitForCompletionOrTimeout(isLogin, this.#options.settings.drainTimeoutMs)
        .then(closeUnlessAttached);
    }
  }

  /**
   * Detaches the session from the socket because the client sends nothing more.
   * @param isByServer true if the server closed the socket, so that the session is not reported as disconnected.
   */
  async detachSession(isByServer: boolean): Promise<void> {
    this.#activeSession = null;
    const caller = this.#caller;
    if (!this.#mayBeAttached || caller.kind !== 'app') return;
    const { application, id } = this.#socket;
    await application.tracker.detachSocket(caller.userId, id, isByServer);
  }

  /** Releases everything after the socket closed. Resolves when the session is detached. @param isByServer as `detachSession`. */
  async dispose(isByServer: boolean): Promise<void> {
    const { activeOperations } = this.#socket;
    this.#options.counters.openSockets[getCallerKind(this.#caller)]--;
    this.#stopJwtWatch?.();
    const isLoginActive = activeOperations.hasMatching(isLogin);
    for (const handle of activeOperations.toArray()) handle.cancel();
    await this.detachSession(isByServer);
    if (!isLoginActive) return;
    // A login that reached the store after the detach has attached the closed socket.
    await activeOperations.waitForCompletion(isLogin);
    await this.detachSession(isByServer);
  }

  #setCaller(caller: Caller): void {
    const { openSockets } = this.#options.counters;
    openSockets[getCallerKind(this.#caller)]--;
    openSockets[getCallerKind(caller)]++;
    this.#caller = caller;
  }
}

/** After the end of the session, the subscription to `sessionEnded` reports it and completes. */
const isFiniteAfterSessionEnd: OperationPredicate = (operation) =>
  isQueryOrMutation(operation) || isSessionEndedSubscription(operation);

/** The socket is closed with 1013. Clients choose the delay themselves, so `retryAfterMs` is not sent. */
const ADMISSION_QUEUE_FULL = new DomainError(
  { code: 'OVERLOADED', retryAfterMs: 5_000 },
  'Too many clients are connecting',
);
