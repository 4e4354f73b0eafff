/**
 * One open socket, from its upgrade until everybody who must know of its end knows: what comes, who is let in, and how
 * it is closed. What it says and is told is protocol.ts's, who speaks on it is speaker.ts's, what it may take allowance.ts's.
 */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { CloseCode } from 'graphql-ws';
import type { Logger } from 'pino';
import type { ApiContext, ApiLink } from '../../api/context.ts';
import type { Caller } from '../../app/auth/caller.ts';
import type { Link } from '../../app/presence/socket-registry.ts';
import type { Application } from '../../app/application.ts';
import { linkId, type SocketId, type SessionId } from '../../core/ids.ts';
import type { LostLink } from '../../core/records.ts';
import { Allowance, type AllowanceOptions } from './connection-quota.ts';
import type { Asked } from './operation-handle.ts';
import { closeReason } from '../wire/close-codes.ts';
import type { Operation } from '../graphql/document-cache.ts';
import { socketKind } from '../metrics/counters.ts';
import * as farewell from './close-reasons.ts';
import type { Farewell } from './close-reasons.ts';
import { PING_FRAME, pongFrame, textFrame } from '../wire/frames.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import type { Way } from '../metrics/operation-recorder.ts';
import { SendBuffer, type Outboxes } from '../wire/send-buffer.ts';
import type { Living } from './activity-reporter.ts';
import type { Counted } from '../limits/socket-limiter.ts';
import { MAX_UNANSWERED_PINGS } from './connection-settings.ts';
import { Speaker, type SpeakerOptions } from './session-binding.ts';
import { isReply, UnderWay } from './active-operations.ts';
import type { Socket, SocketOwner } from './raw-websocket.ts';

export interface ConnectionOptions extends AllowanceOptions, SpeakerOptions {
  readonly log: Logger;
  readonly outboxes: Outboxes;
  readonly protocol: {
    hear(connection: Connection, message: string): void;
    /** One that came too fast. */
    refuse(connection: Connection, message: string, retryAfterMs: number): void;
  };
  /** The socket is closed, and its session, if it served one, has been told so. */
  readonly onGone: (connection: Connection) => void;
}

/** The protocol's ping as nearly every client spells it, and what it is answered. */
const PING = '{"type":"ping"}';
const PONG = textFrame('{"type":"pong"}');

/**
 * Of these there are as many as clients: nothing is made for one before it is needed, and what would be
 * the same for all is not made for each.
 */
export class Connection implements Link, ApiLink, ApiContext, Living, SocketOwner, Counted, Way {
  readonly id: SocketId = linkId(randomUUID());
  readonly ipAddress: string | null;
  readonly network: string;
  readonly underWay = new UnderWay<Asked>();
  readonly outbox: SendBuffer;
  /** `connection_init` has come. */
  isInitialised = false;
  /** And was answered: operations may come. */
  isAcknowledged = false;
  readonly #ws: Socket;
  readonly #options: ConnectionOptions;
  readonly #allowance: Allowance;
  readonly #speaker: Speaker;
  /** Until it is initialised; and when it is closed before it was acknowledged, until it is cut off. */
  #initBound: NodeJS.Timeout | null;
  /** It hears nothing any more, but may have something to say. */
  #leaving = false;
  /** Why it is closed, once it is. The first reason is the one that counts. */
  #farewell: Farewell | null = null;
  #unansweredPings = 0;

  /**
   * @param socket what `ws` reads from and writes to.
   * @param network of `ipAddress`.
   */
  constructor(ws: Socket, socket: Duplex, ipAddress: string | null, network: string, options: ConnectionOptions) {
    this.#ws = ws;
    this.#options = options;
    this.ipAddress = ipAddress;
    this.network = network;
    this.#allowance = new Allowance(this, options);
    this.#speaker = new Speaker(this, options);
    this.outbox = new SendBuffer(options.outboxes, socket, this);
    options.log.debug({ link: this.id }, 'A socket opened.');
    this.#initBound = setTimeout(notInitialised, options.limits.initMs, this);
  }

  get porchlight(): Application {
    return this.#options.porchlight;
  }

  get door(): 'socket' {
    return 'socket';
  }

  /** As of now. */
  get caller(): Caller {
    return this.#speaker.caller;
  }

  /** It is what operations over it are executed with. */
  get link(): this {
    return this;
  }

  /** A message has come. */
  hear(message: string): void {
    if (!this.#mayBeHeard()) return;
    const waitMs = this.#allowance.waitMs();
    if (message === PING && waitMs <= 0) {
      this.sign();
      this.outbox.put(PONG);
      return;
    }
    try {
      if (waitMs > 0) this.#options.protocol.refuse(this, message, waitMs);
      else this.#options.protocol.hear(this, message);
    } catch (error) {
      // Nobody above would take it: it would end the process, for everybody.
      this.unanswerable(error);
    }
  }

  noText(): void {
    if (!this.#mayBeHeard()) return;
    // It ends here, however fast it came.
    this.sign();
    this.refuse(CloseCode.BadRequest, 'A message must be text');
  }

  /** Too fast, it is not answered, and so is no sign of life: there is no other way to tell. */
  pinged(payload: Buffer): void {
    const isHeard = this.#mayBeHeard();
    if (isHeard && this.#allowance.waitMs() > 0) return;
    if (this.#isOpen()) this.outbox.put(pongFrame(payload));
    if (isHeard) this.sign();
  }

  ponged(): void {
    this.#unansweredPings = 0;
    if (!this.#leaving && this.#farewell === null) this.#allowance.waitMs();
  }

  tooFast(): void {
    this.#options.refusals.socketsTooFast++;
    this.close(farewell.TOO_FAST);
  }

  /** Something came from the client. False: it is not to be looked at. */
  #mayBeHeard(): boolean {
    if (this.#leaving || this.#farewell !== null) return false;
    this.#unansweredPings = 0;
    if (this.outbox.unread <= this.#options.limits.maxUnreadBytes) return true;
    this.close(farewell.TOO_MUCH_UNREAD);
    return false;
  }

  /** `connection_init`. False: whoever may not connect finds the socket closed. */
  async connect(authorization: unknown): Promise<boolean> {
    this.#initialised();
    const bound = setTimeout(() => this.close(farewell.AUTHENTICATION_TOO_LONG), this.#options.limits.initMs);
    try {
      const caller = await this.#speaker.known(authorization);
      if (this.isOver || caller === null) return false;
      if (!this.#allowance.isLetIn(caller)) {
        this.close(farewell.TOO_MANY_SOCKETS);
        return false;
      }
      this.porchlight.links.add(this);
      await this.#speaker.begins(caller);
      return !this.isOver;
    } catch (error) {
      const refusal = farewell.refusal(error);
      if (refusal === null) this.#fault(error, 'A socket could not be authenticated.');
      this.close(refusal ?? farewell.FAULT);
      return false;
    } finally {
      clearTimeout(bound);
    }
  }

  #initialised(): void {
    if (this.#initBound !== null) clearTimeout(this.#initBound);
    this.#initBound = null;
    this.#options.counts.spoke(this);
  }

  /** It is known who it is, and answered: operations may come, as long as any. */
  acknowledged(): void {
    this.isAcknowledged = true;
    this.#ws.takes(MAX_PAYLOAD_BYTES);
  }

  /** A login begins. */
  logsIn(): void {
    this.#speaker.logsIn();
  }

  loggedIn(sessionId: SessionId): void {
    this.#allowance.belongsTo(this.#speaker.loggedIn(sessionId));
  }

  lose(lost: LostLink): void {
    this.#speaker.lose(lost);
  }

  /** The client lives. */
  sign(): void {
    this.#speaker.sign();
  }

  lifeLost(error: unknown): void {
    this.#fault(error, 'A sign of life was lost.');
  }

  watches(users: number): void {
    this.#allowance.watches(users);
  }

  watchesNoMore(users: number): void {
    this.#allowance.watchesNoMore(users);
  }

  /** Resolves when the bytes are on their way, so that whoever produces them waits for a slow reader. */
  send(text: string): Promise<void> {
    return this.#isOpen() ? this.outbox.send(text) : Promise.resolve();
  }

  /** `connection_init` has not come in time. */
  late(): void {
    if (this.isInitialised || this.isOver) return;
    this.#options.refusals.socketsLate++;
    this.refuse(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
  }

  /** A newcomer needs its place. */
  giveWay(): void {
    this.#options.refusals.socketsSilent++;
    this.close(farewell.GIVES_WAY);
  }

  tooSlow(): void {
    this.close(farewell.TOO_SLOW);
  }

  /** The server is going down. */
  restart(): void {
    this.leave(farewell.RESTART, isReply);
  }

  /** The client did what the protocol forbids. Whoever is leaving has a better reason already. */
  refuse(code: number, reason: string): void {
    if (!this.#leaving) this.close({ code, reason, byServer: false });
  }

  /** It is our fault that there is no answer. */
  unanswerable(error: unknown): void {
    this.#fault(error, 'A message could not be answered.');
    this.close(farewell.FAULT);
  }

  /** Hears nothing more, lets go out what is waited for, then closes. */
  leave(why: Farewell, waitsFor: (operation: Operation) => boolean): void {
    if (this.#leaving || this.#farewell !== null) return;
    this.#leaving = true;
    void this.underWay.drained(waitsFor, this.#options.limits.drainMs).then(() => this.close(why));
  }

  /** The library cuts off whoever does not answer in time. */
  close(why: Farewell): void {
    if (this.#farewell !== null) return;
    this.#farewell = why;
    this.#unansweredPings = 0;
    this.#ws.close(why.code, closeReason(why.reason));
  }

  /** Without a word: it had its time. No DISCONNECT. */
  cutOff(): void {
    this.#farewell ??= farewell.cutOff(true);
    this.#ws.terminate();
  }

  /** What cannot be written finds nobody there any more, which is no fault: its end tells everybody. */
  unwritable(): void {
    if (!this.#isOpen()) return;
    this.#farewell ??= farewell.cutOff(false);
    this.#ws.terminate();
  }

  /**
   * Pings, which keeps the way open through NATs. A socket that serves a session and is silent is left
   * to its platform's timeout; for any other one nobody else would ever notice, nor for a client who has said
   * goodbye and then reads nothing of what is still on its way.
   */
  sweep(): void {
    const isSomebodys = this.#speaker.isAttached && this.#farewell === null;
    if (!isSomebodys && this.#unansweredPings >= MAX_UNANSWERED_PINGS) return this.cutOff();
    this.#unansweredPings++;
    if (this.#isOpen()) this.outbox.put(PING_FRAME);
  }

  /** A text that is not text, or too long: the library closes the socket and says why. */
  broken(error: Error): void {
    this.#options.log.debug({ link: this.id, err: error }, 'A socket failed.');
    if (farewell.isOverLimit(error)) this.#options.refusals.messagesTooLong++;
    this.#farewell ??= farewell.broken(error);
  }

  /** It is about to be closed, by whomever: what is to be sent goes out before. */
  closing(): void {
    this.outbox.close();
    // Afterwards: what the library closes because of an error, it gives its reason for right then.
    queueMicrotask(() => this.clientLeaves());
    if (this.isAcknowledged) return;
    // Whoever was never let in is not waited for as long as others are.
    this.#initialised();
    this.#initBound = setTimeout(cutOff, this.#options.limits.strangerCloseMs, this);
  }

  /**
   * The client has said goodbye, with a close frame or a FIN. What it does next, over another connection,
   * comes after that, though the end of this one takes a while yet: the session is told now.
   */
  clientLeaves(): void {
    if (this.#farewell !== null) return;
    this.#farewell = farewell.cutOff(false);
    this.#unansweredPings = 0;
    this.porchlight.links.remove(this.id);
    this.#speaker.leaves(false).catch((error: unknown) => this.#endLost(error));
  }

  closed(): void {
    this.outbox.gone();
    this.#ended()
      .catch((error: unknown) => this.#endLost(error))
      .finally(() => this.#options.onGone(this));
  }

  async #ended(): Promise<void> {
    this.#initialised();
    // Without a farewell of ours it was the client who went, with a close frame, a FIN or a RST.
    this.#farewell ??= farewell.cutOff(false);
    const { byServer, code } = this.#farewell;
    this.#options.figures.closed.add(code === 1006 && !byServer ? 'client' : String(code));
    this.#options.log.debug({ link: this.id, caller: socketKind(this.caller), code, byServer }, 'A socket closed.');
    this.porchlight.links.remove(this.id);
    this.#allowance.gone();
    await this.#speaker.gone(byServer);
  }

  /** It is closed, or about to be. */
  get isOver(): boolean {
    return this.#farewell !== null || this.#leaving || !this.#isOpen();
  }

  #isOpen(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  #endLost(error: unknown): void {
    this.#fault(error, 'The end of a socket was lost.');
  }

  #fault(error: unknown, message: string): void {
    this.#options.figures.faults++;
    this.#options.log.error({ link: this.id, err: error }, message);
  }
}

/** After what has come by now was read: while the server itself did not listen, it lay there. */
const notInitialised = (connection: Connection): void => void setImmediate(late, connection);

const late = (connection: Connection): void => connection.late();

const cutOff = (connection: Connection): void => connection.cutOff();
