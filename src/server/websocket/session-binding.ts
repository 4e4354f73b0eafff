/**
 * Who speaks on a socket, and which session it serves: from the credential or the login that attaches it to one, until
 * the store knows that it does no more.
 */
import { NOBODY, type AppCaller, type Caller } from '../../app/auth/caller.ts';
import { DomainError, unauthenticated } from '../../core/errors.ts';
import type { SessionId } from '../../core/ids.ts';
import type { LostLink } from '../../core/records.ts';
import type { Asked } from './operation-handle.ts';
import type { Authenticate } from '../auth/authenticate.ts';
import type { Operation } from '../graphql/document-cache.ts';
import { socketKind, type DoorCounts } from '../metrics/counters.ts';
import * as farewell from './close-reasons.ts';
import type { Farewell } from './close-reasons.ts';
import type { Gate } from './admission-queue.ts';
import { watchJwt } from '../auth/jwt-expiry.ts';
import { SignsOfLife, type Living } from './activity-reporter.ts';
import type { SocketLimits } from './connection-settings.ts';
import { isLogin, isReply, isReplyOrEnding, type UnderWay } from './active-operations.ts';

export interface SpeakerOptions {
  readonly authenticate: Authenticate;
  readonly figures: DoorCounts;
  readonly limits: SocketLimits;
  /** One for all. */
  readonly gate: Gate;
}

/** The socket. */
interface SpokenOn extends Living {
  readonly underWay: UnderWay<Asked>;
  /** It is closed, or about to be. */
  readonly isOver: boolean;
  /** Hears nothing more, lets go out what is waited for, then closes. */
  leave(why: Farewell, waitsFor: (operation: Operation) => boolean): void;
}

export class Speaker {
  readonly #socket: SpokenOn;
  readonly #options: SpeakerOptions;
  readonly #life: SignsOfLife;
  #caller: Caller = NOBODY;
  /** The session is attached through the socket. */
  #attached = false;
  /** The store may have the socket in a session, or be about to. */
  #mayServe = false;
  /** Sessions lost before the reply of the login that began them has come back here. */
  #lostEarly: Map<SessionId, LostLink> | null = null;
  #stopJwtWatch: (() => void) | null = null;

  constructor(socket: SpokenOn, options: SpeakerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#life = new SignsOfLife(socket);
    options.figures.sockets.nobody++;
  }

  /** As of now. */
  get caller(): Caller {
    return this.#caller;
  }

  get isAttached(): boolean {
    return this.#attached;
  }

  /** The client lives. */
  sign(): void {
    this.#life.sign();
  }

  /**
   * It says who it is, and waits for its turn to be known. Null: meanwhile the socket is over.
   * @throws as `Authenticate`; OVERLOADED when too many wait.
   */
  async known(authorization: unknown): Promise<Caller | null> {
    if (authorization === undefined) throw unauthenticated('authorization is missing');
    if (typeof authorization !== 'string') throw unauthenticated('authorization must be text');
    const mayEnter = await this.#options.gate.turn(() => this.#socket.isOver);
    if (this.#socket.isOver) return null;
    if (!mayEnter) throw TOO_MANY;
    return this.#options.authenticate(authorization);
  }

  /** From now on it speaks. Resolves when the session that its credential names is attached. @throws as `attach`. */
  async begins(caller: Caller): Promise<void> {
    this.#is(caller);
    if (caller.kind !== 'app') return;
    const { userId, sessionId, jwt } = caller;
    const { porchlight } = this.#socket;
    if (jwt !== null) {
      const stop = await watchJwt(porchlight, userId, jwt, (why) => this.#socket.leave(farewell.jwtOver(why), isReply));
      if (this.#socket.isOver) stop();
      else this.#stopJwtWatch = stop;
    }
    if (sessionId !== null) await this.#attach(caller, sessionId);
  }

  async #attach({ userId }: AppCaller, sessionId: SessionId): Promise<void> {
    const { porchlight, id, ipAddress } = this.#socket;
    this.#mayServe = true;
    this.#attached = true;
    await this.#options.gate.attaching(() => porchlight.tracker.attach({ userId, sessionId }, id, ipAddress));
    // Lost again before it could be told that it has it, perhaps.
    if (this.#attached) this.#life.of({ userId, sessionId });
  }

  /** A login begins. */
  logsIn(): void {
    // Not from its reply on: the socket may be gone before that.
    this.#mayServe = true;
  }

  /** The login has attached the socket to that session. @returns as whom it speaks from now on. */
  loggedIn(sessionId: SessionId): AppCaller {
    if (this.#caller.kind !== 'app') throw new Error('Only an app logs in.');
    const caller = { ...this.#caller, sessionId };
    this.#is(caller);
    const lost = this.#lostEarly?.get(sessionId);
    this.#lostEarly = null;
    if (lost === undefined) {
      this.#attached = true;
      this.#life.of({ userId: caller.userId, sessionId });
    } else this.#leaveSession(lost);
    return caller;
  }

  /** See `Link`. */
  lose(lost: LostLink): void {
    if (this.#caller.kind === 'app' && this.#caller.sessionId === lost.sessionId) this.#leaveSession(lost);
    else (this.#lostEarly ??= new Map()).set(lost.sessionId, lost);
  }

  /** Nothing is closed that is moving on to another session at this moment. */
  #leaveSession(lost: LostLink): void {
    this.#attached = false;
    this.#life.of(null);
    const { underWay } = this.#socket;
    const leave = (): void => {
      if (this.#attached) return;
      this.#socket.leave(farewell.sessionLost(lost), lost.ended ? isReplyOrEnding : isReply);
    };
    if (!underWay.has(isLogin)) leave();
    else void underWay.drained(isLogin, this.#options.limits.drainMs).then(leave);
  }

  /** The client sends nothing more: the session is told. @param byServer the server has closed it, which is no DISCONNECT. */
  async leaves(byServer: boolean): Promise<void> {
    this.#life.of(null);
    const caller = this.#caller;
    if (!this.#mayServe || caller.kind !== 'app') return;
    const { porchlight, id } = this.#socket;
    await porchlight.tracker.detach(caller.userId, id, byServer);
  }

  /** The socket is closed. Resolves when the session has been told. @param byServer as `leaves`. */
  async gone(byServer: boolean): Promise<void> {
    const { underWay } = this.#socket;
    this.#options.figures.sockets[socketKind(this.#caller)]--;
    this.#stopJwtWatch?.();
    const loggingIn = underWay.has(isLogin);
    for (const asked of underWay.all()) asked.leave();
    await this.leaves(byServer);
    if (!loggingIn) return;
    // A login that reached the store after the detach has attached a socket that is gone.
    await underWay.settled(isLogin);
    await this.leaves(byServer);
  }

  #is(caller: Caller): void {
    const { sockets } = this.#options.figures;
    sockets[socketKind(this.#caller)]--;
    sockets[socketKind(caller)]++;
    this.#caller = caller;
  }
}

/** It is closed with 1013, which says when to come back by itself. */
const TOO_MANY = new DomainError({ code: 'OVERLOADED', retryAfterMs: 5_000 }, 'Too many are coming at once');
