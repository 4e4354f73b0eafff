/**
 * One WebSocket, from its upgrade until its session and its limits are released. It receives messages, runs the
 * initialisation, and closes. `GraphqlTransportWsProtocol` interprets the messages, `SessionBinding` keeps the session,
 * and `ConnectionQuota` checks the limits.
 */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { CloseCode } from 'graphql-ws';
import type { Logger } from 'pino';
import type { ApiContext, ApiSocket } from '../../api/context.ts';
import type { Application } from '../../app/application.ts';
import type { Caller } from '../../app/auth/caller.ts';
import { asSocketId, type SocketId, type SessionId } from '../../core/ids.ts';
import { isQueryOrMutation, type OperationPredicate } from '../graphql/operation.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import type { LimitedSocket } from '../limits/socket-limiter.ts';
import { getCallerKind } from '../metrics/counters.ts';
import type { OperationOrigin } from '../metrics/operation-recorder.ts';
import { truncateCloseReason } from '../wire/close-codes.ts';
import { encodePongFrame, encodeTextFrame, PING_FRAME } from '../wire/frames.ts';
import { SendBuffer, type FlushScheduler } from '../wire/send-buffer.ts';
import { ActiveOperations } from './active-operations.ts';
import * as closeReasons from './close-reasons.ts';
import type { CloseReason } from './close-reasons.ts';
import { findCredential, type ConnectionPayload } from './connection-credential.ts';
import { ConnectionQuota, type ConnectionQuotaDeps } from './connection-quota.ts';
import type { OperationHandle } from './operation-handle.ts';
import type { RawWebSocket, WebSocketHandler } from './raw-websocket.ts';
import { SessionBinding, type SessionBindingOptions } from './session-binding.ts';
import { formatRefusalMessage } from './subprotocols.ts';

/** What a socket knows from its upgrade request. */
export interface AcceptedUpgrade {
  readonly ipAddress: string | null;
  /** The network of `ipAddress`, as returned by `computeNetworkPrefix`. */
  readonly network: string;
  /** As returned by `retainUpgradeAuthorization`. */
  readonly authorization: string | null;
}

export interface ConnectionOptions extends ConnectionQuotaDeps, SessionBindingOptions {
  readonly log: Logger;
  readonly flushScheduler: FlushScheduler;
  readonly protocol: {
    handleMessage(connection: Connection, message: string): void;
    /** Answers a message that exceeded the rate limit without executing it. */
    rejectMessage(connection: Connection, message: string, retryAfterMs: number): void;
  };
  /** Called when the socket is closed and its session is detached. */
  readonly onConnectionClosed: (connection: Connection) => void;
}

/** A ping of the protocol as nearly every client formats it, and its answer. */
const PING_MESSAGE = '{"type":"ping"}';
const PONG_MESSAGE_FRAME = encodeTextFrame('{"type":"pong"}');

/**
 * There is one per client, so memory matters: parts are created only when needed, and everything that sockets can
 * share is in the options.
 */
export class Connection implements ApiSocket, ApiContext, WebSocketHandler, LimitedSocket, OperationOrigin {
  readonly id: SocketId = asSocketId(randomUUID());
  readonly ipAddress: string | null;
  readonly network: string;
  readonly activeOperations = new ActiveOperations<OperationHandle>();
  readonly sendBuffer: SendBuffer;
  readonly sessionBinding: SessionBinding;
  /** `connection_init` was received. */
  isInitialised = false;
  /** `connection_init` was acknowledged, so operations are allowed. */
  isAcknowledged = false;
  readonly #webSocket: RawWebSocket;
  readonly #options: ConnectionOptions;
  readonly #quota: ConnectionQuota;
  /** As returned by `retainUpgradeAuthorization`. Null after `connection_init`, and once the socket is closing. */
  #upgradeAuthorization: string | null;
  /** Limits the time for `connection_init`, and later the time of a close that happens before the acknowledgement. */
  #initTimer: NodeJS.Timeout | null;
  /** Messages are ignored, but responses are still sent. */
  #isDraining = false;
  /** Set once, by the first cause of the close. */
  #closeReason: CloseReason | null = null;
  #unansweredPings = 0;

  /** @param socket the stream that `webSocket` reads from and writes to. */
  constructor(webSocket: RawWebSocket, socket: Duplex, upgrade: AcceptedUpgrade, options: ConnectionOptions) {
    this.#webSocket = webSocket;
    this.#options = options;
    this.ipAddress = upgrade.ipAddress;
    this.network = upgrade.network;
    this.#upgradeAuthorization = upgrade.authorization;
    this.#quota = new ConnectionQuota(this, options);
    this.sessionBinding = new SessionBinding(this, options);
    this.sendBuffer = new SendBuffer(options.flushScheduler, socket, this);
    options.log.debug({ socket: this.id }, 'A WebSocket was opened');
    this.#initTimer = setTimeout(checkInitAfterPendingReads, options.settings.initTimeoutMs, this);
  }

  get application(): Application {
    return this.#options.application;
  }

  get retainedLength(): number {
    return this.#upgradeAuthorization?.length ?? 0;
  }

  get transport(): 'websocket' {
    return 'websocket';
  }

  /** The current caller. A login changes it. */
  get caller(): Caller {
    return this.sessionBinding.caller;
  }

  /** The socket of the `ApiContext` in which operations are executed. */
  get socket(): this {
    return this;
  }

  /** True once the socket is closed or about to be closed. */
  get isClosing(): boolean {
    return this.#closeReason !== null || this.#isDraining || !this.#isOpen();
  }

  // What the client sends: see `WebSocketHandler`.

  onMessage(message: string): void {
    if (!this.#acceptsInput()) return;
    const waitMs = this.#quota.chargeMessage();
    if (message === PING_MESSAGE && waitMs <= 0) {
      this.sessionBinding.recordActivity();
      this.sendBuffer.enqueue(PONG_MESSAGE_FRAME);
      return;
    }
    try {
      if (waitMs > 0) this.#options.protocol.rejectMessage(this, message, waitMs);
      else this.#options.protocol.handleMessage(this, message);
    } catch (error) {
      // An uncaught exception would end the process.
      this.failInternally(error);
    }
  }

  onBinaryMessage(): void {
    if (!this.#acceptsInput()) return;
    // The socket is closed, so the rate does not matter.
    this.sessionBinding.recordActivity();
    this.closeForProtocolError(CloseCode.BadRequest, 'A message must be text');
  }

  /** A ping above the rate limit is not answered and is no activity. The protocol has no other way to reject it. */
  onPing(payload: Buffer): void {
    const isAccepted = this.#acceptsInput();
    if (isAccepted && this.#quota.chargeMessage() > 0) return;
    if (this.#isOpen()) this.sendBuffer.enqueue(encodePongFrame(payload));
    if (isAccepted) this.sessionBinding.recordActivity();
  }

  onPong(): void {
    this.#unansweredPings = 0;
    if (!this.#isDraining && this.#closeReason === null) this.#quota.chargeMessage();
  }

  /** The library closes the socket and sends the reason. */
  onError(error: Error): void {
    this.#options.log.debug({ socket: this.id, err: error }, 'A WebSocket failed; it will be closed');
    if (closeReasons.isMessageSizeError(error)) this.#options.rejections.messageSize++;
    this.#closeReason ??= closeReasons.closeReasonForSocketError(error);
  }

  /** Sends what is queued before the close frame. */
  onClosing(): void {
    this.sendBuffer.flushAndClose();
    // Deferred, because the library reports an error right after it starts to close because of it.
    queueMicrotask(() => this.onPeerStoppedSending());
    if (this.isAcknowledged) return;
    this.#markInitialised();
    this.#initTimer = setTimeout(terminate, this.#options.settings.unacknowledgedCloseTimeoutMs, this);
  }

  /**
   * The client sent a close frame or a FIN. The session is detached now, although the socket closes later, so that what
   * the client does next over another connection comes after it.
   */
  onPeerStoppedSending(): void {
    if (this.#closeReason !== null) return;
    this.#closeReason = closeReasons.createAbnormalClosure(false);
    this.#unansweredPings = 0;
    this.application.socketRegistry.unregister(this.id);
    this.sessionBinding.detachSession(false).catch((error: unknown) => this.#reportDetachError(error));
  }

  onClosed(): void {
    this.sendBuffer.discardFurtherMessages();
    this.#release()
      .catch((error: unknown) => this.#reportDetachError(error))
      .finally(() => this.#options.onConnectionClosed(this));
  }

  /** A write failed because the client is disconnected. That is no error: `onClosed` follows. */
  onWriteError(): void {
    if (!this.#isOpen()) return;
    this.#closeReason ??= closeReasons.createAbnormalClosure(false);
    this.#webSocket.terminate();
  }

  /** `connection_init` did not arrive in time. */
  onInitTimeout(): void {
    if (this.isInitialised || this.isClosing) return;
    this.#options.rejections.socketsInitTimeout++;
    this.closeForProtocolError(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
  }

  // What the protocol and the API do with the socket.

  /** Handles `connection_init`. Returns false if the client is rejected; the socket is then closing. */
  async authenticate(payload: ConnectionPayload | null | undefined): Promise<boolean> {
    const upgradeAuthorization = this.#upgradeAuthorization;
    this.#markInitialised();
    const timeout = setTimeout(
      () => this.close(closeReasons.AUTHENTICATION_TIMEOUT),
      this.#options.settings.initTimeoutMs,
    );
    let place: string | null = null;
    try {
      const credential = findCredential(payload, upgradeAuthorization);
      place = credential.place;
      const caller = await this.sessionBinding.authenticate(credential.authorization);
      if (this.isClosing || caller === null) return false;
      if (!this.#quota.countUserSocket(caller)) {
        this.close(closeReasons.USER_SOCKET_LIMIT_EXCEEDED);
        return false;
      }
      this.application.socketRegistry.register(this.sessionBinding);
      await this.sessionBinding.bindCaller(caller);
      return !this.isClosing;
    } catch (error) {
      const reason = closeReasons.closeReasonForFailedInit(error, place);
      if (reason === null) this.reportInternalError(error, 'Authentication of a WebSocket failed; closing it');
      this.close(reason ?? closeReasons.INTERNAL_ERROR);
      return false;
    } finally {
      clearTimeout(timeout);
    }
  }

  /** Allows operations, and messages of up to `MAX_PAYLOAD_BYTES`. */
  markAcknowledged(): void {
    this.isAcknowledged = true;
    this.#webSocket.setMaxPayload(MAX_PAYLOAD_BYTES);
  }

  /** Called by a login over this socket once the session is attached. */
  attachSession(sessionId: SessionId): void {
    this.#quota.chargeCaller(this.sessionBinding.completeLogin(sessionId));
  }

  reserveWatches(users: number): void {
    this.#quota.reserveWatches(users);
  }

  releaseWatches(users: number): void {
    this.#quota.releaseWatches(users);
  }

  /** Resolves when the sender may send more. Drops the message if the socket is not open. */
  sendMessage(text: string): Promise<void> {
    return this.#isOpen() ? this.sendBuffer.enqueueWithBackpressure(text) : Promise.resolve();
  }

  reportInternalError(error: unknown, logMessage: string): void {
    this.#options.counters.internalErrors++;
    this.#options.log.error({ socket: this.id, err: error }, logMessage);
  }

  /** Pings the client, which also keeps NAT mappings open, or terminates the socket after unanswered pings. */
  pingOrTerminate(): void {
    // A silent socket of a session stays open until the timeout of its platform. No timeout covers a socket without a
    // session, or one that is closing but whose client does not read.
    const isCoveredByTimeout = this.sessionBinding.isAttached && this.#closeReason === null;
    const { maxUnansweredPings } = this.#options.settings;
    if (!isCoveredByTimeout && this.#unansweredPings >= maxUnansweredPings) return this.terminate();
    this.#unansweredPings++;
    if (this.#isOpen()) this.sendBuffer.enqueue(PING_FRAME);
  }

  // Ways to close the socket.

  closeForRateLimit(): void {
    this.#options.rejections.socketsRateLimited++;
    this.close(closeReasons.RATE_LIMIT_EXCEEDED);
  }

  /** Makes room for a new socket, because this one has sent no `connection_init`. */
  evict(): void {
    this.#options.rejections.socketsEvicted++;
    this.close(closeReasons.EVICTED_UNINITIALISED);
  }

  /** Closes the socket because the client does not speak graphql-transport-ws. */
  refuseSubprotocol(reason: CloseReason): void {
    const message = formatRefusalMessage(this.#webSocket.protocol, reason);
    if (message !== null) this.sendBuffer.enqueue(encodeTextFrame(message));
    this.close(reason);
  }

  closeSlowConsumer(): void {
    this.close(closeReasons.SLOW_CONSUMER);
  }

  closeForRestart(): void {
    this.drainAndClose(closeReasons.SERVER_RESTART, isQueryOrMutation);
  }

  /** The client violated the protocol. Does nothing while draining, because that has a more important reason. */
  closeForProtocolError(code: number, reason: string): void {
    if (!this.#isDraining) this.close({ code, reason, isByServer: false });
  }

  failInternally(error: unknown): void {
    this.reportInternalError(error, 'A message of a WebSocket could not be answered; closing the WebSocket');
    this.close(closeReasons.INTERNAL_ERROR);
  }

  /** Ignores further messages, waits for the matching operations up to `drainTimeoutMs`, then closes. */
  drainAndClose(reason: CloseReason, waitFor: OperationPredicate): void {
    if (this.#isDraining || this.#closeReason !== null) return;
    this.#isDraining = true;
    void this.activeOperations
      .waitForCompletionOrTimeout(waitFor, this.#options.settings.drainTimeoutMs)
      .then(() => this.close(reason));
  }

  /** Sends a close frame. The library terminates the socket if the client does not answer in `closeTimeoutMs`. */
  close(reason: CloseReason): void {
    if (this.#closeReason !== null) return;
    this.#closeReason = reason;
    this.#unansweredPings = 0;
    this.#webSocket.close(reason.code, truncateCloseReason(reason.reason));
  }

  /** Closes without a close frame, because the client did not react in time. */
  terminate(): void {
    this.#closeReason ??= closeReasons.createAbnormalClosure(true);
    this.#webSocket.terminate();
  }

  /** Whether a message is to be processed. Closes the socket of a client that sends much and reads little. */
  #acceptsInput(): boolean {
    if (this.#isDraining || this.#closeReason !== null) return false;
    this.#unansweredPings = 0;
    if (this.sendBuffer.unsentBytes <= this.#options.settings.maxUnreadBytes) return true;
    this.close(closeReasons.UNREAD_LIMIT_EXCEEDED);
    return false;
  }

  #markInitialised(): void {
    if (this.#initTimer !== null) clearTimeout(this.#initTimer);
    this.#initTimer = null;
    this.#options.socketLimiter.markInitialised(this);
    this.#upgradeAuthorization = null;
  }

  async #release(): Promise<void> {
    this.#markInitialised();
    // Without a reason of the server, the client closed with a close frame, a FIN or a RST.
    this.#closeReason ??= closeReasons.createAbnormalClosure(false);
    const { isByServer, code } = this.#closeReason;
    this.#options.counters.closedSockets.increment(code === 1006 && !isByServer ? 'client' : String(code));
    const reason = closeReasons.getLoggableReason(this.#closeReason);
    this.#options.log.debug(
      { socket: this.id, caller: getCallerKind(this.caller), code, isByServer, reason },
      'A WebSocket was closed',
    );
    this.application.socketRegistry.unregister(this.id);
    this.#quota.releaseUserSocket();
    await this.sessionBinding.dispose(isByServer);
  }

  #isOpen(): boolean {
    return this.#webSocket.readyState === this.#webSocket.OPEN;
  }

  #reportDetachError(error: unknown): void {
    this.reportInternalError(
      error,
      'A session could not be detached from its closed WebSocket; the session will time out',
    );
  }
}

/** Reads what has arrived first: during a process pause, `connection_init` may have waited in the kernel. */
const checkInitAfterPendingReads = (connection: Connection): void => void setImmediate(onInitTimeout, connection);

const onInitTimeout = (connection: Connection): void => connection.onInitTimeout();

const terminate = (connection: Connection): void => connection.terminate();
