/** A WebSocket of the library `ws` that calls one handler instead of event listeners. */
import { WebSocket } from 'ws';
import { describeProtocolFailure } from './close-reasons.ts';

export interface WebSocketHandler {
  onMessage(message: string): void;
  /** A binary message arrived. The protocol has none. */
  onBinaryMessage(): void;
  onPing(payload: Buffer): void;
  onPong(): void;
  /** The peer violated the WebSocket protocol, or the connection failed. */
  onError(error: Error): void;
  /** The socket is about to be closed, by either side. */
  onClosing(): void;
  onClosed(): void;
  /** The peer will send nothing more. */
  onPeerStoppedSending(): void;
}

/** A table of listeners with a function for each would take as much memory per socket as all other state of the server. */
export class RawWebSocket extends WebSocket {
  handler: WebSocketHandler | null = null;
  /** The library's frame parser. It checks the length that each frame announces. */
  declare readonly _receiver: { _maxPayload: number };

  /** Sets the maximum size of a message. The library has no public API to change it after the socket opened. */
  setMaxPayload(bytes: number): void {
    this._receiver._maxPayload = bytes;
  }

  /**
   * Reports the start of the close. The library reports only the end. It closes after a violation of the protocol without
   * a reason, so that a client would not learn which limit it exceeded.
   */
  override close(code?: number, reason?: string | Buffer): void {
    this.handler?.onClosing();
    const isByLibrary = code !== undefined && reason === undefined;
    super.close(code, isByLibrary ? describeProtocolFailure(code, this._receiver._maxPayload) : reason);
  }

  override emit(event: string | symbol, ...[payload, isBinary]: unknown[]): boolean {
    const { handler } = this;
    if (handler === null) return false;
    // A binary message may not be UTF-8, so it must not be decoded.
    if (event === 'message' && isBinary === true) handler.onBinaryMessage();
    else if (event === 'message') handler.onMessage((payload as Buffer).toString('utf8'));
    else if (event === 'ping') handler.onPing(payload as Buffer);
    else if (event === 'pong') handler.onPong();
    else if (event === 'error') handler.onError(payload as Error);
    else if (event === 'close') handler.onClosed();
    return true;
  }
}
