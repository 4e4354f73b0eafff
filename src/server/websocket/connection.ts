/**
 * One open socket, from its upgrade until everybody who must know of its end knows: what comes, who is let in, and how
 * it is closed. What it says and is told is protocol.ts's, who speaks on it is speaker.ts's, what it may take allowance.ts's.
 */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { CloseCode } from 'graphql-ws';
import type { Logger } from 'pino';
import type { ApiContext, ApiSocket } from '../../api/context.ts';
import type { Caller } from '../../app/auth/caller.ts';
import type { Link } from '../../app/presence/socket-registry.ts';
import type { Application } from '../../app/application.ts';
import { linkId, type SocketId, type SessionId } from '../../core/ids.ts';
import type { LostLink } from '../../core/records.ts';
import { ConnectionQuota, type ConnectionQuotaOptions } from './connection-quota.ts';
import type { OperationHandle } from './operation-handle.ts';
import { truncateCloseReason } from '../wire/close-codes.ts';
import { isQueryOrMutation, type Operation } from '../graphql/operation.ts';
import { callerKindOf } from '../metrics/counters.ts';
import * as farewell from './close-reasons.ts';
import type { CloseReason } from './close-reasons.ts';
import { PING_FRAME, encodePongFrame, encodeTextFrame } from '../wire/frames.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import type { OperationOrigin } from '../metrics/operation-recorder.ts';
import { SendBuffer, type FlushScheduler } from '../wire/send-buffer.ts';
import type { ActivitySource } from './activity-reporter.ts';
import type { LimitedSocket } from '../limits/socket-limiter.ts';
import { MAX_UNANSWERED_PINGS } from './connection-settings.ts';
import { SessionBinding, type SessionBindingOptions } from './session-binding.ts';
import { ActiveOperations } from './active-operations.ts';
import type { RawWebSocket, WebSocketHandler } from './raw-websocket.ts';

export interface ConnectionOptions extends ConnectionQuotaOptions, SessionBindingOptions {
  readonly log: Logger;
  readonly flushScheduler: FlushScheduler;
  readonly protocol: {
    hear(connection: Connection, message: string): void;
    /** One that came too fast. */
    refuse(connection: Connection, message: string, retryAfterMs: number): void;
  };
  /** The socket is closed, and its session, if it served one, has been told so. */
  readonly onConnectionClosed: (connection: Connection) => void;
}

/** The protocol's ping as nearly every client spells it, and what it is answered. */
const PING = '{"type":"ping"}';
const PONG = encodeTextFrame('{"type":"pong"}');

/**
 * Of these there are as many as clients: nothing is made for one before it is needed, and what would be
 * the same for all is not made for each.
 */
export class Connection
  implements Link, ApiSocket, ApiContext, ActivitySource, WebSocketHandler, LimitedSocket, OperationOrigin
{
  readonly id: SocketId = linkId(randomUUID());
  readonly ipAddress: string | null;
  readonly network: string;
  readonly activeOperations = new ActiveOperations<OperationHandle>();
  readonly sendBuffer: SendBuffer;
  /** `connection_init` has come. */
  isInitialised = false;
  /** And was answered: operations may come. */
  isAcknowledged = false;
  readonly #ws: RawWebSocket;
  readonly #options: ConnectionOptions;
  readonly #allowance: ConnectionQuota;
  readonly #speaker: SessionBinding;
  /** Until it is initialised; and when it is closed before it was acknowledged, until it is cut off. */
  #initBound: NodeJS.Timeout | null;
  /** It hears nothing any more, but may have something to say. */
  #leaving = false;
  /** Why it is closed, once it is. The first reason is the one that counts. */
  #farewell: CloseReason | null = null;
  #unansweredPings = 0;

  /**
   * @param socket what `ws` reads from and writes to.
   * @param network of `ipAddress`.
   */
  constructor(ws: RawWebSocket, socket: Duplex, ipAddress: string | null, network: string, options: ConnectionOptions) {
    this.#ws = ws;
    this.#options = options;
    this.ipAddress = ipAddress;
    this.network = network;
    this.#allowance = new ConnectionQuota(this, options);
    this.#speaker = new SessionBinding(this, options);
    this.sendBuffer = new SendBuffer(options.flushScheduler, socket, this);
    options.log.debug({ link: this.id }, 'A socket opened.');
    this.#initBound = setTimeout(notInitialised, options.settings.initTimeoutMs, this);
  }

  get application(): Application {
    return this.#options.porchlight;
  }

  get transport(): 'socket' {
    return 'socket';
  }

  /** As of now. */
  get caller(): Caller {
    return this.#speaker.caller;
  }

  /** It is what operations over it are executed with. */
  get socket(): this {
    return this;
  }

  /** A message has come. */
  onMessage(message: string): void {
    if (!this.#mayBeHeard()) return;
    const waitMs = this.#allowance.waitMs();
    if (message === PING && waitMs <= 0) {
      this.recordActivity();
      this.sendBuffer.enqueue(PONG);
      return;
    }
    try {
      if (waitMs > 0) this.#options.protocol.refuse(this, message, waitMs);
      else this.#options.protocol.hear(this, message);
    } catch (error) {
      // Nobody above would take it: it would end the process, for everybody.
      this.failInternally(error);
    }
  }

  onBinaryMessage(): void {
    if (!this.#mayBeHeard()) return;
    // It ends here, however fast it came.
    this.recordActivity();
    this.closeForProtocolError(CloseCode.BadRequest, 'A message must be text');
  }

  /** Too fast, it is not answered, and so is no sign of life: there is no other way to tell. */
  onPing(payload: Buffer): void {
    const isHeard = this.#mayBeHeard();
    if (isHeard && this.#allowance.waitMs() > 0) return;
    if (this.#isOpen()) this.sendBuffer.enqueue(encodePongFrame(payload));
    if (isHeard) this.recordActivity();
  }

  onPong(): void {
    this.#unansweredPings = 0;
    if (!this.#leaving && this.#farewell === null) this.#allowance.waitMs();
  }

  closeForRateLimit(): void {
    this.#options.refusals.socketsRateLimited++;
    this.close(farewell.RATE_LIMIT_EXCEEDED);
  }

  /** Something came from the client. False: it is not to be looked at. */
  #mayBeHeard(): boolean {
    if (this.#leaving || this.#farewell !== null) return false;
    this.#unansweredPings = 0;
    if (this.sendBuffer.unsentBytes <= this.#options.settings.maxUnreadBytes) return true;
    this.close(farewell.UNREAD_LIMIT_EXCEEDED);
    return false;
  }

  /** `connection_init`. False: whoever may not connect finds the socket closed. */
  async authenticate(authorization: unknown): Promise<boolean> {
    this.#initialised();
    const bound = setTimeout(() => this.close(farewell.AUTHENTICATION_TIMEOUT), this.#options.settings.initTimeoutMs);
    try {
      const caller = await this.#speaker.authenticate(authorization);
      if (this.isClosing || caller === null) return false;
      if (!this.#allowance.admitCaller(caller)) {
        this.close(farewell.USER_SOCKET_LIMIT_EXCEEDED);
        return false;
      }
      this.application.links.add(this);
      await this.#speaker.bindCaller(caller);
      return !this.isClosing;
    } catch (error) {
      const refusal = farewell.closeReasonForFailedInit(error);
      if (refusal === null) this.#fault(error, 'A socket could not be authenticated.');
      this.close(refusal ?? farewell.INTERNAL_ERROR);
      return false;
    } finally {
      clearTimeout(bound);
    }
  }

  #initialised(): void {
    if (this.#initBound !== null) clearTimeout(this.#initBound);
    this.#initBound = null;
    this.#options.socketLimiter.markInitialised(this);
  }

  /** It is known who it is, and answered: operations may come, as long as any. */
  markAcknowledged(): void {
    this.isAcknowledged = true;
    this.#ws.setMaxPayload(MAX_PAYLOAD_BYTES);
  }

  /** A login begins. */
  markLoginStarted(): void {
    this.#speaker.markLoginStarted();
  }

  attachSession(sessionId: SessionId): void {
    this.#allowance.assignTo(this.#speaker.completeLogin(sessionId));
  }

  lose(lost: LostLink): void {
    this.#speaker.onSessionLost(lost);
  }

  /** The client lives. */
  recordActivity(): void {
    this.#speaker.recordActivity();
  }

  onActivityError(error: unknown): void {
    this.#fault(error, 'A sign of life was lost.');
  }

  reserveWatches(users: number): void {
    this.#allowance.watches(users);
  }

  releaseWatches(users: number): void {
    this.#allowance.watchesNoMore(users);
  }

  /** Resolves when the bytes are on their way, so that whoever produces them waits for a slow reader. */
  send(text: string): Promise<void> {
    return this.#isOpen() ? this.sendBuffer.enqueueWithBackpressure(text) : Promise.resolve();
  }

  /** `connection_init` has not come in time. */
  onInitTimeout(): void {
    if (this.isInitialised || this.isClosing) return;
    this.#options.refusals.socketsInitTimeout++;
    this.closeForProtocolError(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
  }

  /** A newcomer needs its place. */
  evict(): void {
    this.#options.refusals.socketsEvicted++;
    this.close(farewell.EVICTED_UNINITIALISED);
  }

  closeSlowConsumer(): void {
    this.close(farewell.SLOW_CONSUMER);
  }

  /** The server is going down. */
  closeForRestart(): void {
    this.drainAndClose(farewell.RESTART, isQueryOrMutation);
  }

  /** The client did what the protocol forbids. Whoever is leaving has a better reason already. */
  closeForProtocolError(code: number, reason: string): void {
    if (!this.#leaving) this.close({ code, reason, byServer: false });
  }

  /** It is our fault that there is no answer. */
  failInternally(error: unknown): void {
    this.#fault(error, 'A message could not be answered.');
    this.close(farewell.INTERNAL_ERROR);
  }

  /** Hears nothing more, lets go out what is waited for, then closes. */
  drainAndClose(why: CloseReason, waitsFor: (operation: Operation) => boolean): void {
    if (this.#leaving || this.#farewell !== null) return;
    this.#leaving = true;
    void this.activeOperations
      .waitForMatchingUpTo(waitsFor, this.#options.settings.drainTimeoutMs)
      .then(() => this.close(why));
  }

  /** The library cuts off whoever does not answer in time. */
  close(why: CloseReason): void {
    if (this.#farewell !== null) return;
    this.#farewell = why;
    this.#unansweredPings = 0;
    this.#ws.close(why.code, truncateCloseReason(why.reason));
  }

  /** Without a word: it had its time. No DISCONNECT. */
  terminate(): void {
    this.#farewell ??= farewell.abnormalClosure(true);
    this.#ws.terminate();
  }

  /** What cannot be written finds nobody there any more, which is no fault: its end tells everybody. */
  onWriteError(): void {
    if (!this.#isOpen()) return;
    this.#farewell ??= farewell.abnormalClosure(false);
    this.#ws.terminate();
  }

  /**
   * Pings, which keeps the way open through NATs. A socket that serves a session and is silent is left
   * to its platform's timeout; for any other one nobody else would ever notice, nor for a client who has said
   * goodbye and then reads nothing of what is still on its way.
   */
  pingOrTerminate(): void {
    const isSomebodys = this.#speaker.isAttached && this.#farewell === null;
    if (!isSomebodys && this.#unansweredPings >= MAX_UNANSWERED_PINGS) return this.terminate();
    this.#unansweredPings++;
    if (this.#isOpen()) this.sendBuffer.enqueue(PING_FRAME);
  }

  /** A text that is not text, or too long: the library closes the socket and says why. */
  onError(error: Error): void {
    this.#options.log.debug({ link: this.id, err: error }, 'A socket failed.');
    if (farewell.isMessageSizeError(error)) this.#options.refusals.messageSize++;
    this.#farewell ??= farewell.closeReasonForSocketError(error);
  }

  /** It is about to be closed, by whomever: what is to be sent goes out before. */
  onClosing(): void {
    this.sendBuffer.flushAndClose();
    // Afterwards: what the library closes because of an error, it gives its reason for right then.
    queueMicrotask(() => this.onPeerClosed());
    if (this.isAcknowledged) return;
    // Whoever was never let in is not waited for as long as others are.
    this.#initialised();
    this.#initBound = setTimeout(cutOff, this.#options.settings.unacknowledgedCloseTimeoutMs, this);
  }

  /**
   * The client has said goodbye, with a close frame or a FIN. What it does next, over another connection,
   * comes after that, though the end of this one takes a while yet: the session is told now.
   */
  onPeerClosed(): void {
    if (this.#farewell !== null) return;
    this.#farewell = farewell.abnormalClosure(false);
    this.#unansweredPings = 0;
    this.application.links.remove(this.id);
    this.#speaker.detach(false).catch((error: unknown) => this.#endLost(error));
  }

  onClosed(): void {
    this.sendBuffer.discard();
    this.#ended()
      .catch((error: unknown) => this.#endLost(error))
      .finally(() => this.#options.onConnectionClosed(this));
  }

  async #ended(): Promise<void> {
    this.#initialised();
    // Without a farewell of ours it was the client who went, with a close frame, a FIN or a RST.
    this.#farewell ??= farewell.abnormalClosure(false);
    const { byServer, code } = this.#farewell;
    this.#options.figures.closedSockets.increment(code === 1006 && !byServer ? 'client' : String(code));
    this.#options.log.debug({ link: this.id, caller: callerKindOf(this.caller), code, byServer }, 'A socket closed.');
    this.application.links.remove(this.id);
    this.#allowance.release();
    await this.#speaker.dispose(byServer);
  }

  /** It is closed, or about to be. */
  get isClosing(): boolean {
    return this.#farewell !== null || this.#leaving || !this.#isOpen();
  }

  #isOpen(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  #endLost(error: unknown): void {
    this.#fault(error, 'The end of a socket was lost.');
  }

  #fault(error: unknown, message: string): void {
    this.#options.figures.internalErrors++;
    this.#options.log.error({ link: this.id, err: error }, message);
  }
}

/** After what has come by now was read: while the server itself did not listen, it lay there. */
const notInitialised = (connection: Connection): void => void setImmediate(late, connection);

const late = (connection: Connection): void => connection.onInitTimeout();

const cutOff = (connection: Connection): void => connection.terminate();
