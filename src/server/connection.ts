/**
 * One open socket, from its upgrade until everybody who must know of its end knows: who speaks on it,
 * which session it serves, and how it is closed. The protocol itself is graphql-ws's (see socket.ts).
 */
import { randomUUID } from 'node:crypto';
import { OperationTypeNode } from 'graphql';
import type { WebSocket as ProtocolSocket } from 'graphql-ws';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { ApiContext, ApiLink } from '../api/context.ts';
import { NOBODY, type AppCaller, type Caller } from '../app/caller.ts';
import type { Link } from '../app/links.ts';
import type { Porchlight } from '../app/porchlight.ts';
import { DomainError } from '../core/errors.ts';
import { linkId, type LinkId, type SessionId } from '../core/ids.ts';
import type { LostLink } from '../core/record.ts';
import type { Authenticate } from './auth.ts';
import { CLOSE, closeReason } from './close-codes.ts';
import type { Operation } from './documents.ts';
import { ExpiredToken } from './jwt.ts';
import { watchJwt } from './jwt-lifetime.ts';
import { SignsOfLife } from './signs-of-life.ts';

export interface ConnectionOptions {
  readonly porchlight: Porchlight;
  readonly authenticate: Authenticate;
  readonly log: Logger;
  readonly limits: SocketLimits;
}

export interface SocketLimits {
  /** How long a client may take to send `connection_init`, and we to answer it. */
  readonly initMs: number;
  /** How often every socket is pinged. */
  readonly pingMs: number;
  /** How long what is in flight may hold up a close. */
  readonly drainMs: number;
  /** How long a client may take to answer a close before it is cut off. */
  readonly closeMs: number;
  /** Operations on one socket at once, subscriptions too. */
  readonly maxOperations: number;
  /** What a client may leave unread while it sends more. */
  readonly maxUnreadBytes: number;
}

export const SOCKET_LIMITS: SocketLimits = {
  initMs: 10_000,
  pingMs: 30_000,
  drainMs: 3_000,
  closeMs: 3_000,
  maxOperations: 200,
  maxUnreadBytes: 8 * 1024 * 1024,
};

/** A message that has begun an operation, until the last of its answers is written. */
interface UnderWay {
  readonly operation: Operation;
  readonly done: Promise<void>;
}

interface Farewell {
  readonly code: number;
  readonly reason: string;
  /** For the server's own reasons, which are no DISCONNECT. */
  readonly byServer: boolean;
}

/** Sweeps that a socket without a session may leave unanswered. */
const MAX_UNANSWERED = 2;

export class Connection implements Link, ApiLink {
  readonly id: LinkId = linkId(randomUUID());
  readonly context: ApiContext;
  readonly #ws: WebSocket;
  readonly #options: ConnectionOptions;
  readonly #log: Logger;
  readonly #life: SignsOfLife;
  readonly #underWay = new Set<UnderWay>();
  /** Sessions lost before the reply of the login that began them has come back here. */
  readonly #lostEarly = new Map<SessionId, LostLink>();
  #caller: Caller = NOBODY;
  /** The session it serves is attached through it. */
  #attached = false;
  /** The store may have this link in a session, or be about to. */
  #mayServe = false;
  /** What the message being read has begun. */
  #begun: Operation | null = null;
  /** It hears nothing any more, but may have something to say. */
  #leaving = false;
  #farewell: Farewell | null = null;
  #unanswered = 0;
  #stopJwtWatch: (() => void) | null = null;

  constructor(ws: WebSocket, ipAddress: string | null, options: ConnectionOptions) {
    this.#ws = ws;
    this.#options = options;
    this.#log = options.log.child({ link: this.id });
    this.#life = new SignsOfLife(options.porchlight.tracker, { link: this.id, ipAddress }, (error) =>
      this.#log.error({ err: error }, 'A sign of life was lost.'),
    );
    const caller = (): Caller => this.#caller;
    this.context = {
      porchlight: options.porchlight,
      get caller() {
        return caller();
      },
      ipAddress,
      link: this,
    };
  }

  get operationsUnderWay(): number {
    return this.#underWay.size;
  }

  /**
   * Lets the protocol have this socket. Resolves when the socket is closed and its session, if it
   * served one, has been told so.
   */
  serve(opened: (socket: ProtocolSocket) => (code?: number, reason?: string) => Promise<void>): Promise<void> {
    const ws = this.#ws;
    let deliver: (message: string) => Promise<void> = () => Promise.resolve();
    const closed = opened({
      protocol: ws.protocol,
      send: (data) => this.#send(data),
      // What the client did wrong. Whoever is leaving has a better reason already.
      close: (code, reason) => {
        if (!this.#leaving) this.#close({ code: code ?? 1000, reason: reason ?? '', byServer: false });
      },
      onMessage: (listener) => {
        deliver = listener;
      },
    });
    // A text that is not text, or too long: the library closes the socket and says why.
    ws.on('error', (error) => {
      this.#log.debug({ err: error }, 'A socket failed.');
      this.#farewell ??= { code: 1006, reason: '', byServer: isOverLimit(error) };
    });
    ws.on('message', (data: Buffer) => this.#hear(data.toString('utf8'), deliver));
    ws.on('ping', () => {
      if (this.#heard()) this.#life.sign();
    });
    ws.on('pong', () => {
      this.#unanswered = 0;
    });
    return new Promise((resolve) => {
      ws.once('close', (code: number, reason: Buffer) => {
        this.#ended(() => closed(code, reason.toString('utf8')))
          .catch((error: unknown) => this.#log.error({ err: error }, 'The end of a socket was lost.'))
          .finally(resolve);
      });
    });
  }

  /** `connection_init`: whoever may not connect finds the socket closed, and is not acknowledged. */
  async connect(authorization: unknown): Promise<boolean> {
    const bound = setTimeout(() => {
      this.#close({ code: CLOSE.TRY_AGAIN_LATER, reason: 'Authentication takes too long', byServer: true });
    }, this.#options.limits.initMs);
    try {
      if (authorization !== undefined && typeof authorization !== 'string') {
        throw new DomainError({ code: 'UNAUTHENTICATED' }, 'authorization must be text');
      }
      const caller = await this.#options.authenticate(authorization);
      if (caller.kind === 'nobody') throw new DomainError({ code: 'UNAUTHENTICATED' }, 'authorization is missing');
      if (this.#isOver()) return false;
      this.#caller = caller;
      this.#options.porchlight.links.add(this);
      if (caller.kind === 'app') await this.#serveApp(caller);
      return !this.#isOver();
    } catch (error) {
      this.#close(this.#refusal(error));
      return false;
    } finally {
      clearTimeout(bound);
    }
  }

  /** A message begins this operation. Called while the message is read. */
  begin(operation: Operation): void {
    this.#begun = operation;
    // From the login on, not from its reply: the socket may be gone before that.
    if (isLogin(operation)) this.#mayServe = true;
  }

  loggedIn(sessionId: SessionId): void {
    if (this.#caller.kind !== 'app') throw new Error('Only an app logs in.');
    this.#caller = { ...this.#caller, sessionId };
    const lost = this.#lostEarly.get(sessionId);
    this.#lostEarly.clear();
    this.#attached = lost === undefined;
    this.#life.of(lost === undefined ? { userId: this.#caller.userId, sessionId } : null);
    if (lost !== undefined) this.#leaveSession(lost);
  }

  lose(lost: LostLink): void {
    if (this.#caller.kind === 'app' && this.#caller.sessionId === lost.sessionId) this.#leaveSession(lost);
    else this.#lostEarly.set(lost.sessionId, lost);
  }

  tooSlow(): void {
    this.#close({ code: CLOSE.TOO_SLOW, reason: 'Too slow: resume with your last cursor', byServer: true });
  }

  /** The server is going down. */
  restart(): void {
    this.#leave({ code: CLOSE.RESTART, reason: 'The server is restarting', byServer: true }, isReply);
  }

  /**
   * Pings, which keeps the way open through NATs. A socket that serves a session and is silent is left
   * to its platform's timeout; for any other one nobody else would ever notice.
   */
  sweep(): void {
    if (!this.#attached && this.#unanswered >= MAX_UNANSWERED) {
      this.#farewell ??= { code: 1006, reason: '', byServer: true };
      this.#ws.terminate();
      return;
    }
    this.#unanswered++;
    if (this.#ws.readyState === this.#ws.OPEN) this.#ws.ping();
  }

  /** Cuts the socket off: it had its time. */
  terminate(): void {
    this.#ws.terminate();
  }

  async #serveApp(caller: AppCaller): Promise<void> {
    const { porchlight } = this.#options;
    const { userId, sessionId, jwt } = caller;
    if (jwt !== null) {
      const stop = await watchJwt(porchlight, userId, jwt, (why) => {
        const expired = why instanceof ExpiredToken;
        const reason = expired ? 'The token has expired' : 'The token has been revoked';
        this.#leave({ code: CLOSE.TOKEN_EXPIRED, reason, byServer: true }, isReply);
      });
      if (this.#isOver()) stop();
      else this.#stopJwtWatch = stop;
    }
    if (sessionId !== null) {
      this.#mayServe = true;
      this.#attached = true;
      await porchlight.tracker.attach({ userId, sessionId }, this.id, this.context.ipAddress);
      if (this.#attached) this.#life.of({ userId, sessionId });
    }
  }

  #refusal(error: unknown): Farewell {
    if (error instanceof ExpiredToken) {
      return { code: CLOSE.TOKEN_EXPIRED, reason: 'The token has expired', byServer: true };
    }
    if (error instanceof DomainError) {
      const { fault, message } = error;
      if (fault.code === 'SESSION_ENDED') return { code: CLOSE.SESSION_ENDED, reason: fault.reason, byServer: true };
      if (fault.code === 'OVERLOADED') return { code: CLOSE.TRY_AGAIN_LATER, reason: message, byServer: true };
      return { code: CLOSE.UNAUTHORIZED, reason: message, byServer: true };
    }
    this.#log.error({ err: error }, 'A socket could not be authenticated.');
    return { code: CLOSE.INTERNAL_ERROR, reason: 'Internal server error', byServer: true };
  }

  /** Something came from the client. False: it is not to be looked at. */
  #heard(): boolean {
    if (this.#leaving || this.#farewell !== null) return false;
    this.#unanswered = 0;
    if (this.#ws.bufferedAmount <= this.#options.limits.maxUnreadBytes) return true;
    this.#close({ code: CLOSE.OVER_LIMIT, reason: 'Too much is left unread', byServer: true });
    return false;
  }

  #hear(message: string, deliver: (message: string) => Promise<void>): void {
    if (!this.#heard()) return;
    if (!isPong(message)) this.#life.sign();
    this.#begun = null;
    const delivered = deliver(message).catch((error: unknown) => this.#undeliverable(error));
    const operation = this.#begun as Operation | null;
    if (operation === null) return;
    const underWay: UnderWay = { operation, done: delivered };
    this.#underWay.add(underWay);
    void delivered.then(() => this.#underWay.delete(underWay));
  }

  #undeliverable(error: unknown): void {
    if (error instanceof Error && error.message.startsWith('Unexpected message of type')) {
      return this.#close({ code: CLOSE.BAD_REQUEST, reason: 'Unexpected message', byServer: false });
    }
    this.#log.error({ err: error }, 'A message could not be answered.');
    this.#close({ code: CLOSE.INTERNAL_ERROR, reason: 'Internal server error', byServer: true });
  }

  /** Resolves when the bytes are on their way, so that whoever produces them waits for a slow reader. */
  #send(data: string): Promise<void> {
    const ws = this.#ws;
    return new Promise((resolve, reject) => {
      if (ws.readyState !== ws.OPEN) return resolve();
      ws.send(data, (error) => {
        // A client that is gone is no error: its 'close' tells everybody.
        if (error != null && ws.readyState === ws.OPEN) reject(error);
        else resolve();
      });
    });
  }

  #leaveSession(lost: LostLink): void {
    this.#attached = false;
    this.#life.of(null);
    const farewell: Farewell = lost.ended
      ? { code: CLOSE.SESSION_ENDED, reason: lost.reason, byServer: true }
      : { code: CLOSE.TIMED_OUT, reason: lost.reason, byServer: true };
    const logins = [...this.#underWay].filter(({ operation }) => isLogin(operation));
    if (logins.length === 0) return this.#leave(farewell, lost.ended ? isReplyOrFarewell : isReply);
    // It may be moving on to another session at this moment, and then it is not closed.
    void this.#bounded(logins).then(() => {
      if (!this.#attached) this.#leave(farewell, lost.ended ? isReplyOrFarewell : isReply);
    });
  }

  /** Hears nothing more, lets go out what is waited for, then closes. */
  #leave(farewell: Farewell, waitsFor: (operation: Operation) => boolean): void {
    if (this.#leaving || this.#farewell !== null) return;
    this.#leaving = true;
    const last = [...this.#underWay].filter(({ operation }) => waitsFor(operation));
    void this.#bounded(last).then(() => this.#close(farewell));
  }

  /** Waits for these, but for nobody who could hold it up for ever. */
  async #bounded(all: readonly UnderWay[]): Promise<void> {
    if (all.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const bound = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#options.limits.drainMs);
    });
    await Promise.race([Promise.all(all.map(({ done }) => done)), bound]);
    clearTimeout(timer);
  }

  /** The first reason is the one that counts. The library cuts off whoever does not answer in time. */
  #close(farewell: Farewell): void {
    if (this.#farewell !== null) return;
    this.#farewell = farewell;
    this.#ws.close(farewell.code, closeReason(farewell.reason));
  }

  #isOver(): boolean {
    return this.#farewell !== null || this.#leaving || this.#ws.readyState !== this.#ws.OPEN;
  }

  async #ended(closed: () => Promise<void>): Promise<void> {
    const { links, tracker } = this.#options.porchlight;
    const byServer = this.#farewell?.byServer ?? false;
    const caller = this.#caller;
    this.#farewell ??= { code: 1006, reason: '', byServer };
    this.#stopJwtWatch?.();
    this.#life.of(null);
    links.remove(this.id);
    const detach = async (): Promise<void> => {
      if (this.#mayServe && caller.kind === 'app') await tracker.detach(caller.userId, this.id, byServer);
    };
    const logins = [...this.#underWay].filter(({ operation }) => isLogin(operation));
    await Promise.all([closed(), detach()]);
    if (logins.length === 0) return;
    // A login that reached the store after the detach has attached a socket that is gone.
    await Promise.all(logins.map(({ done }) => done));
    await detach();
  }
}

const isLogin = ({ rootFields }: Operation): boolean => rootFields.has('login');

const isReply = ({ node }: Operation): boolean => node.operation !== OperationTypeNode.SUBSCRIPTION;

/** The subscription that says why completes by itself when the session has ended. */
const isReplyOrFarewell = (operation: Operation): boolean =>
  isReply(operation) || operation.rootFields.has('sessionEnded');

/** An answer to a ping of ours: a frozen app's runtime may still send it. */
const isPong = (message: string): boolean => {
  if (message.length > 4_096 || !message.includes('pong')) return false;
  try {
    const parsed: unknown = JSON.parse(message);
    return typeof parsed === 'object' && parsed !== null && 'type' in parsed && parsed.type === 'pong';
  } catch {
    // No JSON, so no pong: the protocol closes the socket for it.
    return false;
  }
};

const isOverLimit = (error: Error): boolean => 'code' in error && error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
