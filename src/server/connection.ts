/**
 * One open socket, from its upgrade until everybody who must know of its end knows: who speaks on it,
 * which session it serves, and how it is closed. The protocol itself is graphql-ws's (see socket.ts).
 */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { WebSocket as ProtocolSocket } from 'graphql-ws';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { ApiContext, ApiLink } from '../api/context.ts';
import { NOBODY, type AppCaller, type Caller } from '../app/caller.ts';
import type { Link } from '../app/links.ts';
import type { Porchlight } from '../app/porchlight.ts';
import { unauthenticated } from '../core/errors.ts';
import { linkId, type LinkId, type SessionId } from '../core/ids.ts';
import type { LostLink } from '../core/record.ts';
import type { Authenticate } from './auth.ts';
import { closeReason } from './close-codes.ts';
import type { Operation } from './documents.ts';
import * as farewell from './farewell.ts';
import type { Farewell } from './farewell.ts';
import { PING_FRAME, pongFrame, textFrame } from './frames.ts';
import { watchJwt } from './jwt-lifetime.ts';
import { Outbox, type Outboxes } from './outbox.ts';
import { isHeartbeat, isPong, SignsOfLife } from './signs-of-life.ts';
import type { Outlet } from './pushed.ts';
import type { Rounds } from './rounds.ts';
import { MAX_UNANSWERED_PINGS, type SocketLimits } from './socket-limits.ts';
import { isLogin, isReply, isReplyOrEnding, UnderWay } from './under-way.ts';

export interface ConnectionOptions {
  readonly porchlight: Porchlight;
  readonly authenticate: Authenticate;
  readonly log: Logger;
  readonly limits: SocketLimits;
  readonly outboxes: Outboxes;
  readonly rounds: Rounds;
}

/** The protocol's ping as nearly every client spells it, and what it is answered; graphql-ws answers the others. */
const PING = '{"type":"ping"}';
const PONG = textFrame('{"type":"pong"}');

type Deliver = (message: string) => Promise<void>;

/** What operations over a socket are executed with. */
export interface SocketContext extends ApiContext {
  readonly link: Connection;
}

export class Connection implements Link, ApiLink {
  readonly id: LinkId = linkId(randomUUID());
  readonly context: SocketContext;
  readonly #ws: WebSocket;
  readonly #options: ConnectionOptions;
  readonly #outbox: Outbox;
  readonly #life: SignsOfLife;
  readonly #underWay = new UnderWay();
  /** Sessions lost before the reply of the login that began them has come back here. */
  #lostEarly: Map<SessionId, LostLink> | null = null;
  #caller: Caller = NOBODY;
  /** The session it serves is attached through it. */
  #attached = false;
  /** The store may have this link in a session, or be about to. */
  #mayServe = false;
  /** What the message being read has begun. */
  #begun: Operation | null = null;
  /** It hears nothing any more, but may have something to say. */
  #leaving = false;
  /** Why it is closed, once it is. The first reason is the one that counts. */
  #farewell: Farewell | null = null;
  #unansweredPings = 0;
  #stopJwtWatch: (() => void) | null = null;

  /** @param socket what `ws` reads from and writes to. */
  constructor(ws: WebSocket, socket: Duplex, ipAddress: string | null, options: ConnectionOptions) {
    this.#ws = ws;
    this.#options = options;
    this.#outbox = new Outbox(options.outboxes, socket, () => this.#unwritable());
    this.#life = new SignsOfLife(options.porchlight.tracker, { link: this.id, ipAddress }, (error) =>
      this.#fault(error, 'A sign of life was lost.'),
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

  /** Where a subscription of that name may push. */
  outlet(id: string): Outlet {
    return { id, outbox: this.#outbox, rounds: this.#options.rounds };
  }

  /**
   * Lets the protocol have this socket. Resolves when the socket is closed and its session, if it
   * served one, has been told so.
   */
  serve(opened: (socket: ProtocolSocket) => (code?: number, reason?: string) => Promise<void>): Promise<void> {
    const ws = this.#ws;
    let deliver: Deliver = () => Promise.resolve();
    const closed = opened({
      protocol: ws.protocol,
      send: (data) => this.#send(data),
      // For what the client did wrong. Whoever is leaving has a better reason already.
      close: (code, reason) => {
        if (!this.#leaving) this.#close({ code: code ?? 1000, reason: reason ?? '', byServer: false });
      },
      onMessage: (listener) => {
        deliver = listener;
      },
    });
    // A text that is not text, or too long: the library closes the socket and says why.
    ws.on('error', (error) => {
      this.#options.log.debug({ link: this.id, err: error }, 'A socket failed.');
      this.#farewell ??= farewell.cutOff(isOverLimit(error));
    });
    ws.on('message', (data: Buffer) => this.#hear(data.toString('utf8'), deliver));
    ws.on('ping', (payload: Buffer) => {
      if (ws.readyState === ws.OPEN) this.#outbox.put(pongFrame(payload));
      if (this.#mayBeHeard()) this.#life.sign();
    });
    ws.on('pong', () => {
      this.#unansweredPings = 0;
    });
    return new Promise((resolve) => {
      ws.once('close', (code: number, reason: Buffer) => {
        this.#ended(() => closed(code, reason.toString('utf8')))
          .catch((error: unknown) => this.#fault(error, 'The end of a socket was lost.'))
          .finally(resolve);
      });
    });
  }

  /** The socket is about to be closed, by whomever: what is to be sent goes out before. */
  closing(): void {
    this.#outbox.close();
  }

  /**
   * The client has said goodbye, with a close frame or a FIN. What it does next, over another connection,
   * comes after that, though the end of this one takes a while yet: the session is told now.
   */
  clientLeaves(): void {
    if (this.#farewell !== null) return;
    this.#farewell = farewell.cutOff(false);
    this.#life.of(null);
    this.#options.porchlight.links.remove(this.id);
    this.#detach(false).catch((error: unknown) => this.#fault(error, 'The end of a socket was lost.'));
  }

  /** `connection_init`: whoever may not connect finds the socket closed, and is not acknowledged. */
  async connect(authorization: unknown): Promise<boolean> {
    const bound = setTimeout(() => this.#close(farewell.AUTHENTICATION_TOO_LONG), this.#options.limits.initMs);
    try {
      if (authorization === undefined) throw unauthenticated('authorization is missing');
      if (typeof authorization !== 'string') throw unauthenticated('authorization must be text');
      const caller = await this.#options.authenticate(authorization);
      if (this.#isOver()) return false;
      this.#caller = caller;
      this.#options.porchlight.links.add(this);
      if (caller.kind === 'app') await this.#serveApp(caller);
      return !this.#isOver();
    } catch (error) {
      const refusal = farewell.refusal(error);
      if (refusal === null) this.#fault(error, 'A socket could not be authenticated.');
      this.#close(refusal ?? farewell.FAULT);
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

  /** What was begun has failed, so that it was no sign of life by itself; its message is one. */
  failed(): void {
    this.#life.sign();
  }

  loggedIn(sessionId: SessionId): void {
    if (this.#caller.kind !== 'app') throw new Error('Only an app logs in.');
    this.#caller = { ...this.#caller, sessionId };
    const lost = this.#lostEarly?.get(sessionId);
    this.#lostEarly = null;
    if (lost !== undefined) return this.#leaveSession(lost);
    this.#attached = true;
    this.#life.of({ userId: this.#caller.userId, sessionId });
  }

  lose(lost: LostLink): void {
    if (this.#caller.kind === 'app' && this.#caller.sessionId === lost.sessionId) this.#leaveSession(lost);
    else (this.#lostEarly ??= new Map()).set(lost.sessionId, lost);
  }

  tooSlow(): void {
    this.#close(farewell.TOO_SLOW);
  }

  /** The server is going down. */
  restart(): void {
    this.#leave(farewell.RESTART, isReply);
  }

  /** Without a word: it had its time. No DISCONNECT. */
  cutOff(): void {
    this.#farewell ??= farewell.cutOff(true);
    this.#ws.terminate();
  }

  /**
   * Pings, which keeps the way open through NATs. A socket that serves a session and is silent is left
   * to its platform's timeout; for any other one nobody else would ever notice.
   */
  sweep(): void {
    if (!this.#attached && this.#unansweredPings >= MAX_UNANSWERED_PINGS) return this.cutOff();
    this.#unansweredPings++;
    if (this.#ws.readyState === this.#ws.OPEN) this.#outbox.put(PING_FRAME);
  }

  async #serveApp({ userId, sessionId, jwt }: AppCaller): Promise<void> {
    const { porchlight } = this.#options;
    if (jwt !== null) {
      const stop = await watchJwt(porchlight, userId, jwt, (why) => this.#leave(farewell.jwtOver(why), isReply));
      if (this.#isOver()) stop();
      else this.#stopJwtWatch = stop;
    }
    if (sessionId !== null) {
      this.#mayServe = true;
      this.#attached = true;
      await porchlight.tracker.attach({ userId, sessionId }, this.id, this.context.ipAddress);
      // Lost again before it could be told that it has it, perhaps.
      if (this.#attached) this.#life.of({ userId, sessionId });
    }
  }

  /** Something came from the client. False: it is not to be looked at. */
  #mayBeHeard(): boolean {
    if (this.#leaving || this.#farewell !== null) return false;
    this.#unansweredPings = 0;
    if (this.#outbox.unread <= this.#options.limits.maxUnreadBytes) return true;
    this.#close(farewell.TOO_MUCH_UNREAD);
    return false;
  }

  #hear(message: string, deliver: Deliver): void {
    if (!this.#mayBeHeard()) return;
    if (message === PING) {
      this.#life.sign();
      return this.#outbox.put(PONG);
    }
    this.#begun = null;
    const delivered = deliver(message);
    // Read through a call: it was set while the message was delivered, which narrowing does not see.
    const operation = this.#takeBegun();
    if (operation === null) {
      if (!isPong(message)) this.#life.sign();
      delivered.catch((error: unknown) => this.#undeliverable(error));
    } else {
      // Nothing of it has been executed yet: the sign comes before it, if it is not one by itself.
      if (!isHeartbeat(operation) || this.#underWay.has(isLogin)) this.#life.sign();
      this.#underWay.add(operation, delivered, (error) => this.#undeliverable(error));
    }
  }

  #takeBegun(): Operation | null {
    return this.#begun;
  }

  #undeliverable(error: unknown): void {
    if (error instanceof Error && error.message.startsWith('Unexpected message of type')) {
      return this.#close(farewell.UNEXPECTED_MESSAGE);
    }
    this.#fault(error, 'A message could not be answered.');
    this.#close(farewell.FAULT);
  }

  /** Resolves when the bytes are on their way, so that whoever produces them waits for a slow reader. */
  #send(data: string): Promise<void> {
    return this.#ws.readyState === this.#ws.OPEN ? this.#outbox.send(data) : Promise.resolve();
  }

  /** What cannot be written finds nobody there any more, which is no fault: 'close' tells everybody. */
  #unwritable(): void {
    if (this.#ws.readyState !== this.#ws.OPEN) return;
    this.#farewell ??= farewell.cutOff(false);
    this.#ws.terminate();
  }

  /** Nothing is closed that is moving on to another session at this moment. */
  #leaveSession(lost: LostLink): void {
    this.#attached = false;
    this.#life.of(null);
    const leave = (): void => {
      if (!this.#attached) this.#leave(farewell.sessionLost(lost), lost.ended ? isReplyOrEnding : isReply);
    };
    if (!this.#underWay.has(isLogin)) leave();
    else void this.#underWay.drained(isLogin, this.#options.limits.drainMs).then(leave);
  }

  /** Hears nothing more, lets go out what is waited for, then closes. */
  #leave(why: Farewell, waitsFor: (operation: Operation) => boolean): void {
    if (this.#leaving || this.#farewell !== null) return;
    this.#leaving = true;
    void this.#underWay.drained(waitsFor, this.#options.limits.drainMs).then(() => this.#close(why));
  }

  /** The library cuts off whoever does not answer in time. */
  #close(why: Farewell): void {
    if (this.#farewell !== null) return;
    this.#farewell = why;
    this.#ws.close(why.code, closeReason(why.reason));
  }

  #isOver(): boolean {
    return this.#farewell !== null || this.#leaving || this.#ws.readyState !== this.#ws.OPEN;
  }

  async #ended(closed: () => Promise<void>): Promise<void> {
    // Without a farewell of ours it was the client who went, with a close frame, a FIN or a RST.
    this.#farewell ??= farewell.cutOff(false);
    const { byServer } = this.#farewell;
    this.#stopJwtWatch?.();
    this.#life.of(null);
    this.#options.porchlight.links.remove(this.id);
    const loggingIn = this.#underWay.has(isLogin);
    await Promise.all([closed(), this.#detach(byServer)]);
    if (!loggingIn) return;
    // A login that reached the store after the detach has attached a socket that is gone.
    await this.#underWay.settled(isLogin);
    await this.#detach(byServer);
  }

  #fault(error: unknown, message: string): void {
    this.#options.log.error({ link: this.id, err: error }, message);
  }

  async #detach(byServer: boolean): Promise<void> {
    const caller = this.#caller;
    if (!this.#mayServe || caller.kind !== 'app') return;
    await this.#options.porchlight.tracker.detach(caller.userId, this.id, byServer);
  }
}

const isOverLimit = (error: Error): boolean => 'code' in error && error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
