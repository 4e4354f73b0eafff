/** A WebSocket of the library ws that tells its owner what happens to it, and no listeners. */
import { WebSocket } from 'ws';

/** Hears what happens to a socket. */
export interface WebSocketHandler {
  onMessage(message: string): void;
  /** A binary message, of which the protocol has none. */
  onBinaryMessage(): void;
  onPing(payload: Buffer): void;
  onPong(): void;
  onError(error: Error): void;
  onClosing(): void;
  onClosed(): void;
  /** The client will send nothing more. */
  onPeerClosed(): void;
}

/** A table of listeners, and a function for each of them, would take as much of every socket as all the rest of ours. */
export class RawWebSocket extends WebSocket {
  handler: WebSocketHandler | null = null;
  /** The library's reader of frames, which looks at the length that each of them announces. */
  declare readonly _receiver: { _maxPayload: number };

  /** From now on it takes messages of so many bytes. The library has no word for it: it asks once, when a socket opens. */
  setMaxPayload(bytes: number): void {
    this._receiver._maxPayload = bytes;
  }

  /** Says when it begins to close; the library says when it has closed. */
  override close(code?: number, reason?: string | Buffer): void {
    this.handler?.onClosing();
    super.close(code, reason);
  }

  override emit(event: string | symbol, ...[what, isBinary]: unknown[]): boolean {
    const { handler: owner } = this;
    if (owner === null) return false;
    // What is no text may be no UTF-8 either, and would be heard as something else than was said.
    if (event === 'message' && isBinary === true) owner.onBinaryMessage();
    else if (event === 'message') owner.onMessage((what as Buffer).toString('utf8'));
    else if (event === 'ping') owner.onPing(what as Buffer);
    else if (event === 'pong') owner.onPong();
    else if (event === 'error') owner.onError(what as Error);
    else if (event === 'close') owner.onClosed();
    return true;
  }
}
